// The server: asked at addresses as PostgREST has them, with growing pauses while it does not answer.

const SHORTEST_PAUSE = 1_000, LONGEST_PAUSE = 60_000, PATIENCE = 30_000;

class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

class Server {
  constructor(base, token) {
    this.base = base.replace(/\/+$/, '');
    this.headers = token ? { Authorization: `Bearer ${token}` } : {};
    this.ahead = 0; // milliseconds that the server's clock is ahead of ours
    this.clockIsKnown = false;
  }

  now() { return Date.now() + this.ahead; }

  async ask(name, args = {}) {
    const address = new URL(`${this.base}/rpc/${name}`, location.href);
    for (const [key, value] of Object.entries(args)) address.searchParams.set(key, value);
    let answer;
    try {
      answer = await fetch(address, { headers: this.headers, signal: AbortSignal.timeout(PATIENCE), cache: 'no-store' });
    } catch (error) {
      throw new Refused(error.name === 'TimeoutError' ? `no answer within ${PATIENCE / 1000} s` : 'no connection', 0);
    }
    this._readClock(answer.headers.get('Date'));
    const text = await answer.text().catch(() => { throw new Refused('the answer broke off', 0); });
    if (!answer.ok) throw new Refused(complaint(answer, text), answer.status);
    try {
      return JSON.parse(text);
    } catch {
      throw new Refused(`what ${name} answers is not JSON`, answer.status);
    }
  }

  _readClock(date) {
    const moment = Date.parse(date);
    if (Number.isFinite(moment)) {
      this.ahead = moment - Date.now();
      this.clockIsKnown = true;
    }
  }

  // A moment to ask for changes from. Where other origins hide their clock, ours may be ahead of it: what is told
  // twice replaces itself.
  get since() { return this.now() - (this.clockIsKnown ? 10_000 : 10 * MINUTE); }
}

// PostgREST's errors have a message; of others the status must do.
function complaint(answer, text) {
  try {
    const { message, hint } = JSON.parse(text);
    if (message) return [message, hint].filter(Boolean).join(' \u2013 ');
  } catch { /* no JSON: the status says it */ }
  return `the server says ${answer.status} ${answer.statusText}`;
}

const iso = (moment) => new Date(moment).toISOString();

// Text as an element of a PostgreSQL array.
const arrayOf = (text) => `{"${text.replace(/[\\"]/g, '\\$&')}"}`;

// Runs rounds for as long as the page is open: with `pause` between them while all goes well, with growing pauses
// after failures; at once when woken.
class Rounds {
  constructor(round, tell) {
    this.round = round; // returns the pause that it wants
    this.tell = tell; // told {failure, next}: null while all goes well
    this.failures = 0;
  }

  async run() {
    for (;;) {
      let pause;
      try {
        pause = await this.round();
        this.failures = 0;
        this.tell(null);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        pause = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** this.failures++) * (0.75 + Math.random() / 2);
        this.tell({ message: error.message, next: Date.now() + pause });
      }
      await this._rest(pause);
    }
  }

  wake() { this._woken?.(); }

  // A page that nobody looks at asks nothing; it asks at once when it is looked at again.
  _rest(pause) {
    return new Promise((done) => {
      const timer = setTimeout(() => { if (!document.hidden) done(); }, pause);
      this._woken = () => { clearTimeout(timer); done(); };
    });
  }
}

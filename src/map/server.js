// The server: asked at addresses as PostgREST has them, with growing pauses while it does not answer.

const SHORTEST_PAUSE = 1_000, LONGEST_PAUSE = 60_000, PATIENCE = 30_000;

class Interrupted extends Error {}

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
    this.running = new Set();
  }

  now() { return Date.now() + this.ahead; }

  async ask(name, args = {}) {
    const address = new URL(`${this.base}/rpc/${name}`, location.href);
    for (const [key, value] of Object.entries(args)) address.searchParams.set(key, value);
    const { answer, text } = await this._fetch(address);
    if (!answer.ok) throw new Refused(complaint(answer, text), answer.status);
    try {
      return JSON.parse(text);
    } catch {
      throw new Refused(`what ${name} answers is not JSON`, answer.status);
    }
  }

  // What is under way is left, for something else has become more urgent.
  interrupt() {
    for (const control of this.running) control.abort('interrupted');
  }

  async _fetch(address) {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort('late'), PATIENCE);
    this.running.add(control);
    try {
      const answer = await fetch(address, { headers: this.headers, signal: control.signal, cache: 'no-store' });
      this._readClock(answer.headers.get('Date'));
      return { answer, text: await answer.text() };
    } catch {
      if (control.signal.reason === 'interrupted') throw new Interrupted();
      throw new Refused(control.signal.aborted ? `no answer within ${PATIENCE / 1000} s` : 'no connection', 0);
    } finally {
      clearTimeout(timer);
      this.running.delete(control);
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
      let pause = 0;
      this.woken = false;
      try {
        pause = await this.round();
        this.failures = 0;
        this.tell(null);
      } catch (error) {
        if (!(error instanceof Interrupted)) {
          if (!(error instanceof Refused)) console.error(error);
          pause = Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** this.failures++) * (0.75 + Math.random() / 2);
          const message = error instanceof Refused ? error.message : `what it answers makes no sense here (${error.message})`;
          this.tell({ message, status: error.status ?? 200, next: Date.now() + pause });
        }
      }
      if (!this.woken) await this._rest(pause);
    }
  }

  wake() {
    this.woken = true;
    this._end?.();
  }

  // A page that nobody looks at asks nothing; it asks at once when it is looked at again.
  _rest(pause) {
    return new Promise((done) => {
      const timer = setTimeout(() => { if (!document.hidden) done(); }, pause);
      this._end = () => { clearTimeout(timer); done(); };
    });
  }
}

// A token for the server may come behind the #, which is never sent anywhere. It is kept in memory only.
function takeToken() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const token = parts.get('token');
  if (token !== null) {
    parts.delete('token');
    history.replaceState(null, '', `${location.pathname}${location.search}${parts.size ? `#${parts}` : ''}`);
  }
  return token;
}

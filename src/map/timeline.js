// The slider under the map: a moment of the day, by hand or as a film.

class Timeline {
  constructor(changed) {
    this.changed = changed;
    this.input = $('time');
    this.following = true; // the newest moment is shown, and goes on with what comes in
    this.playing = null;
    this.input.addEventListener('input', () => {
      this.following = Number(this.input.value) >= Number(this.input.max);
      this._tell();
    });
    $('play').addEventListener('click', () => this.toggle());
    new ResizeObserver(() => this._paint()).observe($('strip'));
  }

  get moment() { return this.following ? Infinity : this.begin + Number(this.input.value) * 1000; }

  show(day) {
    const fresh = day !== this.day;
    this.day = day;
    if (fresh) this.stop();
    const empty = !day || day.empty;
    $('timeline').hidden = empty;
    if (empty) return;
    const moment = this.moment;
    this.begin = day.begin;
    this.finish = Math.max(day.end, day.begin + 1000);
    this.input.max = Math.ceil((this.finish - this.begin) / 1000);
    if (fresh) this.following = true;
    this.input.value = this.following ? this.input.max : Math.round((moment - this.begin) / 1000);
    $('begin').textContent = sayShortTime(this.begin);
    $('end').textContent = sayShortTime(this.finish);
    this._paint();
    this._tell();
  }

  // Puts the hand where somebody pointed at on the map.
  go(moment) {
    this.stop();
    this.input.value = Math.round((moment - this.begin) / 1000);
    this.following = false;
    this._tell();
  }

  toggle() {
    if (this.playing) return this.stop();
    if (this.following) this.input.value = 0;
    this.following = false;
    $('play').setAttribute('aria-pressed', 'true');
    let exact = Number(this.input.value), last = performance.now();
    const step = (now) => {
      exact += (now - last) / 1000 * Number($('pace').value);
      last = now;
      this.input.value = exact;
      if (exact >= Number(this.input.max)) {
        this.following = true;
        this.stop();
      } else {
        this.playing = requestAnimationFrame(step);
      }
      this._tell();
    };
    this.playing = requestAnimationFrame(step);
  }

  stop() {
    cancelAnimationFrame(this.playing);
    this.playing = null;
    $('play').setAttribute('aria-pressed', 'false');
  }

  _paint() {
    if (this.day && !this.day.empty) paintStrip($('strip'), this.day, this.begin, this.finish);
  }

  _tell() {
    const moment = Math.min(this.moment, this.finish);
    const place = this.day.at(moment);
    $('moment').replaceChildren(element('strong', sayTime(moment)), ` ${place?.doing ?? ''}`);
    this.input.setAttribute('aria-valuetext', `${sayTime(moment)}, ${place?.doing ?? ''}`);
    this.input.style.setProperty('--done', `${100 * this.input.value / Math.max(1, this.input.max)}%`);
    this.changed(moment, place);
  }
}

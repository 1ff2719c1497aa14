// The page: what is shown, and what happens when somebody touches it.

const $ = (id) => document.getElementById(id);

class Page {
  // `given`: what get_map_page() wrote into the page: options, and perhaps a day.
  constructor(given) {
    this.givenDay = given.day;
    const asked = new URLSearchParams(location.search);
    const option = (name, usual) => asked.get(name) ?? given.options?.[name] ?? usual;
    this.hours = Number(option('hours', 1)) || 1;
    this.hidden = new Set(['fixes']);
    this.warnings = new Map();
    this.day = null;
    this.pointed = null;
    this.collator = new Intl.Collator(undefined, { numeric: true });
    this.ground = { tiles: option('tiles'), attribution: option('attribution'), streets: option('streets') };
    this.live = given.day ? null : new Live(new Server(option('api', '.'), takeToken()), 1000 * (Number(option('poll', 5)) || 5), this);
  }

  start() {
    if (this.live) {
      this._readAddress();
      this.live.start(); // the map is made while the first answer is on its way
    }
    readColours();
    this.timeline = new Timeline((moment, place) => this._momentChanged(moment, place));
    this.view = new MapView($('map'), this.ground, this);
    this.list = new DeviceList($('list'), (name) => this.open(name, null), (name) => this._point(name));
    makeLegend(this.hidden, (what, shown) => this._toggle(what, shown));
    this._listen();
    this._offerHours();
    if (this.live) this._showView(); else this._showGiven(this.givenDay);
    setInterval(() => this._tick(), 1000);
    this._showAge();
  }

  // Ages grow by themselves, and what says nothing any more falls silent.
  _tick() {
    this._showAge();
    if (this.day || !this.fleet.loaded) return;
    this.list.draw();
    if (Date.now() - this.listedAt > 15_000) {
      this._showList();
      this.view.marks.redraw();
    }
  }

  _offerHours() {
    const choice = $('hours');
    if (![...choice.options].some((one) => Number(one.value) === this.hours)) {
      choice.add(new Option(`${this.hours} hours`, String(this.hours)));
    }
    choice.value = String(this.hours);
  }

  get now() { return this.live ? this.live.now : Date.parse(this.givenDay.made_at); }

  get fleet() { return this.live?.fleet; }

  get wantsFixes() { return !this.hidden.has('fixes'); }

  // --- a day in a file ---------------------------------------------------------------------

  _showGiven({ device, from_time, to_time, page, stops, fixes }) {
    const from = Date.parse(from_time);
    const day = this.day = new Day(device, Number.isFinite(from) ? sayDay(from) : '');
    day.given = [from, Date.parse(to_time)];
    day.take(page);
    day.takeStops(stops);
    if (fixes) day.takeFixes(fixes);
    $('app').dataset.file = '';
    this._showView();
    this.dayChanged(day, true);
  }

  // --- fleet or day ------------------------------------------------------------------------

  open(device, day) {
    this.day = new Day(device, day);
    this.list.active = device;
    this._pushAddress();
    this._showView();
    $('title').focus({ preventScroll: true });
    this.live.wake();
  }

  close() {
    if (!this.day || this.givenDay) return;
    const { device } = this.day;
    this.day = null;
    this._pushAddress();
    this._showView();
    this.list.active = device;
    if (this.fleet.loaded) this.fleetChanged(false);
    this.fitAll(false);
    this.live.wake();
    $('list').focus({ preventScroll: true });
  }

  _showView() {
    const { day } = this;
    $('app').dataset.view = day ? 'day' : 'fleet';
    $('fleet-panel').hidden = Boolean(day);
    $('day-panel').hidden = !day;
    $('back').hidden = !day || Boolean(this.givenDay);
    $('dates').hidden = Boolean(this.givenDay);
    $('title').textContent = day ? day.device : 'Fleet';
    $('title').title = day ? day.device : '';
    document.title = day ? `${day.device} \u2013 ${day.live ? 'last 24 hours' : day.day}` : 'Fleet';
    $('latest').setAttribute('aria-pressed', String(Boolean(day?.live)));
    $('date').value = day ? day.day ?? sayDay(Date.now()) : '';
    for (const item of document.querySelectorAll('#legend [data-view]')) item.hidden = item.dataset.view !== (day ? 'day' : 'fleet');
    for (const box of document.querySelectorAll('#legend input')) box.disabled = !day;
    this.warn('fixes', null);
    this._tip(null);
    this.timeline.show(null);
    if (this.day) this._showFigures();
    this.view.redraw();
  }

  // The address says what is shown, so that it can be kept, sent, and gone back from.
  _pushAddress() {
    const parts = new URLSearchParams();
    if (this.day) {
      parts.set('device', this.day.device);
      if (this.day.day) parts.set('day', this.day.day);
    }
    history.pushState(null, '', this.day ? `#${parts}` : location.pathname + location.search);
  }

  _readAddress() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const device = parts.get('device'), day = parts.get('day');
    this.day = device === null ? null : new Day(device, /^\d{4}-\d\d-\d\d$/.test(day) ? day : null);
  }

  _goBack() {
    this._readAddress();
    this._showView();
    if (!this.day && this.fleet.loaded) this.fleetChanged(false);
    this.live.wake();
  }

  // `all`: those that are far off, too, for which the map would have to be too small to see the others.
  fitAll(all = true) {
    if (this.day) return this.view.fit(this.day.box);
    const devices = [...this.fleet.devices.values()].filter((device) => device.place);
    const box = boxOf([]);
    for (const { place, paths } of all ? devices : withoutStrays(devices)) {
      stretch(box, place.x, place.y);
      if (devices.length > 200) continue; // where they are is enough: lines are decoded while they are drawn
      for (const { box: { left, top, right, bottom } } of paths) {
        stretch(box, left, top);
        stretch(box, right, bottom);
      }
    }
    this.view.fit(box);
  }

  // --- what came from the server -----------------------------------------------------------

  fleetChanged(whole) {
    if (this.day) return;
    this._showList();
    if (!this.view.fitted && (whole || !this.fleetShown)) this.fitAll(false);
    this.view.fitted ||= this.fleet.loaded && [...this.fleet.devices.values()].some((device) => device.place);
    this.fleetShown = true;
    this.view.redraw();
    this._showAge();
  }

  dayChanged(day, whole) {
    if (day !== this.day) return;
    const before = this.place;
    this.timeline.show(day);
    this._showFigures();
    if (whole) this.view.touched = false;
    if (whole || (day.unseen && !day.empty && !this.view.touched)) {
      this.view.fit(day.box);
      this.view.fitted ||= !day.empty;
      day.unseen = day.empty; // stops come after the lines, of which there may be none
    } else if (this.timeline.following && !this.view.touched && before && this.place?.x !== before.x) {
      this.view.show(this.place); // it has driven on
    }
    this.view.redraw();
    this._showAge();
  }

  tellServer(failure) {
    if (failure && !this.failure) this.lostAt = Date.now();
    this.failure = failure;
    this._showAge();
  }

  warn(what, text) {
    if (text) this.warnings.set(what, text); else this.warnings.delete(what);
    this._showAge();
  }

  // An error of this page itself is said, too.
  broken(error) {
    this.warn('page', `This page has an error: ${error?.message ?? error}`);
    console.error(error);
  }

  // --- how old it is -----------------------------------------------------------------------

  _showAge() {
    const { day, live } = this;
    const newest = day ? (day.loaded && !day.empty ? day.end : null) : this.fleet?.newest ?? null;
    const age = newest === null ? (day?.loaded || this.fleet?.loaded ? 'nothing yet' : 'asking the server') : `newest ${saySpan(this.now - newest)} ago`;
    const asked = live?.answered ? `, asked ${saySpan(Date.now() - live.answered)} ago` : '';
    const state = this.givenDay ? 'file' : this.failure ? 'lost' : live?.answered ? 'live' : 'waiting';
    $('age').dataset.state = state;
    $('age-text').textContent = this.givenDay ? `Made ${sayDate(this.now)} ${sayTime(this.now)}, not live`
      : state === 'lost' ? `Not live: ${age}${asked}` : state === 'live' ? `Live: ${age}${asked}` : 'Asking the server';
    const lines = [...this.warnings.values()];
    if (this.failure) {
      const trouble = this.failure.status ? 'The server answers with an error' : 'The server is not reached';
      lines.unshift(`${trouble} since ${sayTime(this.lostAt)}: ${this.failure.message}.`
        + ` Trying again in ${saySpan(this.failure.next - Date.now())}.`);
    }
    const text = lines.join(' ');
    if ($('banner-text').textContent !== text) $('banner-text').textContent = text;
    $('banner').hidden = !lines.length;
    $('again').hidden = !this.failure;
  }

  // --- the panel ---------------------------------------------------------------------------

  _showList() {
    const sought = $('search').value.trim().toLocaleLowerCase();
    const all = [...this.fleet.devices.values()];
    const found = all.filter((device) => device.name.toLocaleLowerCase().includes(sought))
      .sort((one, other) => this.collator.compare(one.name, other.name));
    this.listedAt = Date.now();
    this.list.show(found, (device) => {
      const { place } = device, { now } = this;
      const state = stateOf(place, now);
      if (!place) return { state, text: 'no place known' };
      const age = saySpan(now - place.time);
      return { state, text: state === 'silent' ? `silent for ${age}` : `${state}, ${age} ago` };
    });
    const moving = all.filter((device) => stateOf(device.place, this.now) === 'moving').length;
    $('count').textContent = sought ? `${found.length} of ${all.length} devices`
      : all.length ? `${all.length} ${all.length === 1 ? 'device' : 'devices'}, ${moving} moving`
      : 'No device has a path in these hours.';
  }

  _showFigures() {
    showFigures(this.day);
    showStops(this.day.stops, (stop) => {
      this.view.show(stop);
      this.timeline.go(stop.start + 1000);
    });
  }

  _toggle(what, shown) {
    if (shown) this.hidden.delete(what); else this.hidden.add(what);
    if (what === 'fixes' && shown) {
      if (this.live) this.live.wake();
      else if (!this.day.fixes) this.warn('fixes', 'This file was made without fixes.');
    } else if (what === 'fixes') {
      this.warn('fixes', null);
    }
    this.view.redraw();
  }

  // --- the map -----------------------------------------------------------------------------

  * paintLines(context, view) {
    if (this.day) yield* paintDay(context, view, this.day, this.timeline.moment, this.hidden);
    else if (this.fleet) yield* paintFleetLines(context, view, this.fleet, this.pointed);
  }

  * paintMarks(context, view) {
    if (!this.day) {
      if (this.fleet) yield* paintVehicles(context, view, this.fleet, this.now, this.pointed);
    } else if (this.place) {
      const { x, y, heading } = this.place;
      drawVehicle(context, view.x(x), view.y(y), { heading, state: heading === null ? 'standing' : 'moving', size: 13, colour: colours.ink });
    }
  }

  // The first time that lines are on the screen is noted, for whoever measures.
  linesPainted() {
    $('map').dataset.painted = Number($('map').dataset.painted ?? 0) + 1;
    const { loaded, empty = false } = this.day ?? this.fleet;
    if (!loaded) return;
    if (!empty && !performance.getEntriesByName('lines').length) performance.mark('lines');
    this.view.addStreets();
  }

  _momentChanged(moment, place) {
    this.place = place;
    this.view.redraw();
    if (place && this.timeline.playing) this.view.show(place);
  }

  _point(name) {
    if (name === this.pointed || this.day) return;
    this.pointed = name;
    this.view.redraw();
  }

  clicked(where) {
    if (this.day) {
      const stop = this.hidden.has('stops') ? null : nearest(this.day.stops, where);
      const found = stop ? { moment: stop.start + 1000 } : momentAt(this.day, this.hidden, where);
      if (found) this.timeline.go(found.moment);
    } else if (this.fleet) {
      const name = deviceAt(this.fleet, where);
      if (name !== null) this.open(name, null);
    }
  }

  hovered(where, at) {
    if (!where) return this._tip(null);
    if (this.day) {
      const stop = this.hidden.has('stops') ? null : nearest(this.day.stops, where);
      const found = stop ? null : momentAt(this.day, this.hidden, where);
      const text = stop ? `Stood ${saySpan(stop.end - stop.start)}, ${sayShortTime(stop.start)} \u2013 ${sayShortTime(stop.end)}`
        : found && `${sayTime(found.moment)}  ${TITLES[found.path.kind][0]}`;
      this._tip(text, at);
    } else if (this.fleet) {
      const name = deviceAt(this.fleet, where);
      this._point(name);
      this._tip(name === null ? null : shortened(name), at);
    }
  }

  _tip(text, at) {
    $('tip').hidden = !text;
    $('map').classList.toggle('pointing', Boolean(text));
    if (!text) return;
    $('tip').textContent = text;
    $('tip').style.transform = `translate(${at.x + 14}px, ${at.y + 14}px)`;
  }

  // --- hands and keys ----------------------------------------------------------------------

  _listen() {
    $('search').addEventListener('input', () => { $('list').scrollTop = 0; this._showList(); });
    $('search').addEventListener('keydown', (event) => {
      if (event.key === 'ArrowDown') { $('list').focus(); event.preventDefault(); }
      if (event.key === 'Enter' && this.list.items.length) this.open(this.list.items[0].name, null);
    });
    $('hours').addEventListener('change', () => {
      this.hours = Number($('hours').value);
      this.live.wake();
    });
    $('back').addEventListener('click', () => this.close());
    const shift = (by) => this.open(this.day.device, shiftDay(this.day.day ?? sayDay(Date.now()), by));
    $('earlier').addEventListener('click', () => shift(-1));
    $('later').addEventListener('click', () => shift(1));
    $('date').addEventListener('change', () => { if ($('date').value) this.open(this.day.device, $('date').value); });
    $('latest').addEventListener('click', () => this.open(this.day.device, null));
    $('again').addEventListener('click', () => this.live.wake());
    $('fold').addEventListener('click', () => {
      const open = $('fold').getAttribute('aria-expanded') !== 'true';
      $('fold').setAttribute('aria-expanded', String(open));
      $('app').toggleAttribute('data-folded', !open);
    });
    document.addEventListener('keydown', (event) => this._key(event));
    window.addEventListener('popstate', () => { if (this.live) this._goBack(); });
    window.addEventListener('online', () => this.live?.wake());
    document.addEventListener('visibilitychange', () => { if (!document.hidden) this.live?.wake(); });
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.view.recolour());
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches('input:not([type=range]):not([type=checkbox]), select');
    if (event.key === 'Escape') {
      if (typing && $('search').value) { $('search').value = ''; this._showList(); } else this.close();
    } else if (typing || event.target.matches('button') && event.key === ' ') {
      return;
    } else if (event.key === '/' && !this.day) {
      $('search').focus();
      event.preventDefault();
    } else if (event.key === ' ' && this.day && !this.day.empty && !event.target.matches('input')) {
      this.timeline.toggle();
      event.preventDefault();
    } else if (event.key === ' ' && event.target === $('time')) {
      this.timeline.toggle();
      event.preventDefault();
    } else if (event.key === 'f' || event.key === 'F') {
      this.fitAll();
    }
  }
}

const page = new Page(JSON.parse($('given').textContent));
window.addEventListener('error', (event) => page.broken(event.error ?? event.message));
window.addEventListener('unhandledrejection', (event) => page.broken(event.reason));
page.start();

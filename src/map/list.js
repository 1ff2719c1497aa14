// The list of devices: of thousands, only the rows that can be seen exist.

const ROW = 46; // pixels, as the style sheet has them

class DeviceList {
  constructor(box, choose, point) {
    this.box = box;
    this.rows = box.querySelector('#rows');
    this.choose = choose;
    this.point = point;
    this.items = [];
    this.active = null; // the name that the keys are at
    this.pool = [];
    box.addEventListener('scroll', () => this.draw());
    box.addEventListener('keydown', (event) => this._key(event));
    box.addEventListener('focus', () => { if (this.active === null) this.move(0); });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  // `describe(device)` says what stands under a name: {state, text}.
  show(items, describe) {
    this.items = items;
    this.describe = describe;
    this.rows.style.height = `${items.length * ROW}px`;
    if (!items.some((device) => device.name === this.active)) this.active = null;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 2);
    const last = Math.min(this.items.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW) + 2);
    while (this.pool.length < last - first) this.pool.push(this._makeRow());
    this.pool.forEach((row, n) => {
      row.hidden = n >= last - first;
      if (!row.hidden) this._fill(row, first + n);
    });
    const row = this.pool.find((one) => !one.hidden && one.device === this.active);
    if (row) this.box.setAttribute('aria-activedescendant', row.id);
    else this.box.removeAttribute('aria-activedescendant');
  }

  move(by) {
    if (!this.items.length) return;
    const now = this.items.findIndex((device) => device.name === this.active);
    const next = Math.min(this.items.length - 1, Math.max(0, now < 0 ? 0 : now + by));
    this.active = this.items[next].name;
    const top = next * ROW;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    if (top + ROW > this.box.scrollTop + this.box.clientHeight) this.box.scrollTop = top + ROW - this.box.clientHeight;
    this.draw();
    this.point(this.active);
  }

  _makeRow() {
    const row = document.createElement('div');
    row.className = 'device';
    row.id = `device-${this.pool.length}`;
    row.setAttribute('role', 'option');
    for (const part of ['sign', 'name', 'doing']) {
      row[part] = document.createElement('span');
      row[part].className = part;
      row.append(row[part]);
    }
    row.sign.setAttribute('aria-hidden', 'true');
    row.addEventListener('click', () => this.choose(row.device));
    row.addEventListener('pointerenter', () => this.point(row.device));
    row.addEventListener('pointerleave', () => this.point(null));
    this.rows.append(row);
    return row;
  }

  // Names are the senders' own words: they are text, never markup.
  _fill(row, n) {
    const device = this.items[n];
    const { state, text } = this.describe(device);
    row.device = device.name;
    row.style.transform = `translateY(${n * ROW}px)`;
    row.name.textContent = device.name;
    row.title = device.name;
    row.doing.textContent = text;
    row.dataset.state = state;
    row.setAttribute('aria-selected', String(device.name === this.active));
    row.setAttribute('aria-setsize', String(this.items.length));
    row.setAttribute('aria-posinset', String(n + 1));
  }

  _key(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, End: Infinity, Home: -Infinity };
    if (event.key in steps) this.move(steps[event.key]);
    else if (event.key === 'Enter' && this.active !== null) this.choose(this.active);
    else return;
    event.preventDefault();
  }
}

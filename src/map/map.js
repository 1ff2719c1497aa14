// The map itself: Leaflet, with layers of ours over the ground.

class MapView {
  constructor(element, { tiles, attribution, streets }, page) {
    this.page = page;
    this.map = L.map(element, {
      zoomControl: false, attributionControl: false, zoomSnap: 0.25, zoomDelta: 1, maxZoom: 20, minZoom: 2,
      zoomAnimation: !matchMedia('(prefers-reduced-motion: reduce)').matches,
    }).setView([25, 10], 3);
    L.control.zoom({ position: 'topright' }).addTo(this.map);
    L.control.scale({ position: 'bottomleft', imperial: false }).addTo(this.map);
    this.credit = L.control.attribution({ position: 'bottomright', prefix: false }).addTo(this.map);
    if (attribution) this.credit.addAttribution(attributionOf(attribution));
    if (tiles) this._addTiles(tiles);
    this.streets = streets;
    this.lines = this._layer('lines', 400, (context, view) => this.page.paintLines(context, view), { painted: () => this.page.linesPainted() });
    this.marks = this._layer('marks', 450, (context, view) => this.page.paintMarks(context, view));
    this._listen(element);
  }

  _layer(name, height, paint, options = {}) {
    const pane = this.map.createPane(name);
    pane.style.zIndex = height;
    pane.style.pointerEvents = 'none';
    return new PaintLayer(paint, { pane: name, ...options }).addTo(this.map);
  }

  _addTiles(tiles) {
    const layer = L.tileLayer(tiles, { maxZoom: 20, maxNativeZoom: 19, className: 'tiles' }).addTo(this.map);
    let missing = 0;
    layer.on('tileerror', () => { if (++missing === 1) this.page.warn('ground', 'Some of the background map did not come.'); });
    layer.on('load', () => { if (!missing) this.page.warn('ground', null); missing = 0; });
  }

  // Comes after the first lines, which shall not wait for it.
  async addStreets() {
    const { streets } = this;
    if (!streets) return;
    this.streets = null;
    try {
      const answer = await fetch(new URL(streets, location.href), { signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      this.ground = new Ground(await answer.json());
    } catch (error) {
      this.page.warn('ground', `The streets did not come: ${error.message}`);
      return;
    }
    this._layer('ground', 250, (context, view) => this.ground.paint(context, view));
    if (!this.fitted) this.fit(this.ground.box);
  }

  redraw() {
    this.lines.redraw();
    this.marks.redraw();
  }

  recolour() {
    readColours();
    this.map.eachLayer((layer) => { if (layer instanceof PaintLayer) layer.redraw(); });
  }

  fit(box, animate = false) {
    if (!(box.right >= box.left)) return;
    this.map.invalidateSize({ pan: false }); // what is around the map may just have changed
    const south = Math.max(-85, latitudeOf(box.bottom)), north = Math.min(85, latitudeOf(box.top));
    this.map.fitBounds([[south, longitudeOf(box.left)], [north, longitudeOf(box.right)]],
      { padding: [36, 36], maxZoom: 17, animate });
  }

  // Sees to it that a place is on the screen.
  show({ x, y }) {
    const place = L.latLng(latitudeOf(y), longitudeOf(x + turnAt(this.map.getCenter().lng / 360 + 0.5)));
    if (!this.map.getBounds().pad(-0.1).contains(place)) this.map.panTo(place);
  }

  _listen(element) {
    this.map.on('click', (event) => this.page.clicked(this.near(event)));
    this.map.on('mousemove', (event) => {
      cancelAnimationFrame(this._hover);
      this._hover = requestAnimationFrame(() => this.page.hovered(this.near(event), event.containerPoint));
    });
    this.map.on('mouseout', () => this.page.hovered(null));
    const touched = () => { this.fitted = this.touched = true; }; // from now on, it stays where somebody has put it
    this.map.on('dragstart', touched);
    element.addEventListener('wheel', touched, { passive: true });
    new ResizeObserver(() => this.map.invalidateSize({ pan: false })).observe(element);
  }

  // The place under a pointer, in the world, and how far it reaches.
  near({ latlng }) {
    const scale = 256 * 2 ** this.map.getZoom();
    return { x: nearTo(latlng.lng / 360 + 0.5, home), y: worldY(latlng.lat), reach: 14 / scale };
  }
}

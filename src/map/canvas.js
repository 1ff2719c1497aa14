// A layer of the map that paints in slices of time, so that nothing that is drawn ever holds up the page.
//
// It has two canvases: what was painted last stays on the screen, moved and scaled with the map, while the other
// is painted. `paint(context, view)` is a generator that yields wherever it may be interrupted.

const SLICE = 8; // milliseconds of painting between two looks at the clock's hand
const MARGIN = 0.25; // of the map's size, painted around it for the next drag

const PaintLayer = L.Layer.extend({
  initialize(paint, options) {
    this._paint = paint;
    L.setOptions(this, options);
  },

  onAdd(map) {
    const make = () => {
      const canvas = L.DomUtil.create('canvas', 'leaflet-zoom-animated', this.getPane());
      canvas.setAttribute('aria-hidden', 'true');
      canvas.style.visibility = 'hidden';
      return { canvas, view: null };
    };
    this._map = map;
    this._front = make();
    this._back = make();
    this.redraw();
  },

  onRemove() {
    cancelAnimationFrame(this._frame);
    this._front.canvas.remove();
    this._back.canvas.remove();
  },

  getEvents() {
    return {
      moveend: this.redraw, resize: this.redraw,
      zoomanim: (event) => this._place(event.zoom, event.center),
      zoom: () => this._place(this._map.getZoom(), this._map.getCenter()),
    };
  },

  // Begins anew in the next frame; what is on the screen stays there till then.
  redraw() {
    if (!this._map) return;
    cancelAnimationFrame(this._frame);
    this._frame = requestAnimationFrame(() => this._begin());
  },

  _begin() {
    const size = this._map.getSize();
    if (!size.x || !size.y) return;
    const margin = this.options.margin ?? MARGIN;
    const view = new View(this._map, size, Math.round(size.x * margin), Math.round(size.y * margin));
    const { canvas } = this._back;
    const scale = Math.min(2, window.devicePixelRatio || 1);
    canvas.width = view.width * scale;
    canvas.height = view.height * scale;
    canvas.style.width = `${view.width}px`;
    canvas.style.height = `${view.height}px`;
    const context = canvas.getContext('2d');
    context.scale(scale, scale);
    this._go(this._paint(context, view), view);
  },

  _go(painting, view) {
    const until = performance.now() + SLICE;
    do {
      if (painting.next().done) return this._show(view);
    } while (performance.now() < until);
    this._frame = requestAnimationFrame(() => this._go(painting, view));
  },

  _show(view) {
    [this._front, this._back] = [this._back, this._front];
    this._front.view = view;
    this._back.canvas.style.visibility = 'hidden';
    this._front.canvas.style.visibility = '';
    this._place(this._map.getZoom(), this._map.getCenter());
    this.options.painted?.();
  },

  // Puts what was painted where it lies when the map is elsewhere.
  _place(zoom, center) {
    const { canvas, view } = this._front;
    if (!view) return;
    // Of Leaflet's own layers, too, this is the way; there is no public one for a zoom that is still to come.
    const corner = this._map._latLngToNewLayerPoint(view.corner, zoom, center);
    L.DomUtil.setTransform(canvas, corner, this._map.getZoomScale(zoom, view.zoom));
  },
});

// Turns of the world between what is shown and an x in the middle of the map, which may have been drawn around the world.
const turnAt = (x) => (home === null ? 0 : Math.round(x - home));

// From the world of Mercator to pixels of a canvas that covers the map and a margin.
class View {
  constructor(map, size, marginX, marginY) {
    this.zoom = map.getZoom();
    this.width = size.x + 2 * marginX;
    this.height = size.y + 2 * marginY;
    this.scale = 256 * 2 ** this.zoom;
    const corner = map.containerPointToLayerPoint([-marginX, -marginY]);
    const origin = map.getPixelOrigin().add(corner);
    this.left = origin.x / this.scale;
    this.top = origin.y / this.scale;
    this.corner = map.layerPointToLatLng(corner);
    this.left -= turnAt(this.left + this.width / 2 / this.scale);
  }

  x(x) { return (x - this.left) * this.scale; }

  y(y) { return (y - this.top) * this.scale; }

  shows({ left, top, right, bottom }, around = 40) {
    return this.x(right) > -around && this.x(left) < this.width + around
      && this.y(bottom) > -around && this.y(top) < this.height + around;
  }

  // Begins a line on the context; vertices within a pixel of each other are one.
  trace(context, xy, from = 0, to = xy.length / 2) {
    if (to <= from) return;
    let lastX = this.x(xy[2 * from]), lastY = this.y(xy[2 * from + 1]);
    context.moveTo(lastX, lastY);
    for (let n = from + 1; n < to; n++) {
      const x = this.x(xy[2 * n]), y = this.y(xy[2 * n + 1]);
      if (n < to - 1 && Math.abs(x - lastX) + Math.abs(y - lastY) < 1) continue;
      context.lineTo(x, y);
      lastX = x;
      lastY = y;
    }
  }
}

// How moments, spans and distances are said.

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;
const timeFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const shortFormat = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dateFormat = new Intl.DateTimeFormat(undefined, { weekday: 'short', day: 'numeric', month: 'short' });
const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;

const sayTime = (moment) => timeFormat.format(moment);
const sayShortTime = (moment) => shortFormat.format(moment);
const sayDate = (moment) => dateFormat.format(moment);

function saySpan(millis) {
  const seconds = Math.max(0, Math.round(millis / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

function sayMetres(metres) {
  if (metres < 1000) return `${Math.round(metres)} m`;
  return `${(metres / 1000).toFixed(metres < 100_000 ? 1 : 0)} km`;
}

// A local day as <input type="date"> has it.
function sayDay(moment) {
  const date = new Date(moment);
  return `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, '0')}-${String(date.getDate()).padStart(2, '0')}`;
}

// Where the local day begins; days with a change of clocks are 23 or 25 hours long.
const startOfDay = (day) => new Date(`${day}T00:00:00`).getTime();
function shiftDay(day, by) {
  const date = new Date(`${day}T12:00:00`);
  date.setDate(date.getDate() + by);
  return sayDay(date);
}

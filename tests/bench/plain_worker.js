// What applications do without the extension: a loop that asks for a window's new points, has OSRM match them,
// stores the line and marks the points, one window after the other, over connections that are kept.
// Ends when no new point is left, and says how many windows it did.
"use strict";
const http = require("http");
const { Client } = require("pg");

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

function match(points) {
  const places = points.map((p) => `${p.longitude},${p.latitude}`).join(";");
  const times = points.map((p) => p.time).join(";");
  const url = `${process.env.OSRM_URL}/match/v1/driving/${places}?timestamps=${times}&overview=full&geometries=polyline`;
  return new Promise((resolve, reject) => {
    http.get(url, { agent }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve(JSON.parse(Buffer.concat(parts).toString())));
    }).on("error", reject);
  });
}

const WINDOWS = `SELECT DISTINCT device_id, date_bin('5 min', recorded_at, 'epoch') AS start
                   FROM points WHERE NOT processed`;
const POINTS = `SELECT id::text, longitude, latitude, extract(epoch FROM recorded_at)::bigint AS time
                  FROM points
                 WHERE device_id = $1 AND recorded_at >= $2 AND recorded_at < $2 + interval '5 min' AND NOT processed
                 ORDER BY recorded_at`;
const STORE = `WITH stored AS (
                   INSERT INTO lines (device_id, start_time, end_time, encoded_polyline)
                   SELECT $1, to_timestamp($2), to_timestamp($3), unnest($4::text[]))
               UPDATE points SET processed = true WHERE id = ANY ($5)`;

async function main() {
  const db = new Client();
  await db.connect();
  let done = 0;
  for (let due; (due = (await db.query(WINDOWS)).rows).length > 0; ) {
    for (const { device_id, start } of due) {
      const { rows } = await db.query({ name: "points", text: POINTS, values: [device_id, start] });
      const answer = rows.length > 1 ? await match(rows) : {};
      const lines = (answer.matchings || []).map((matching) => matching.geometry);
      const ids = rows.map((row) => row.id);
      await db.query({
        name: "store", text: STORE, values: [device_id, rows[0].time, rows[rows.length - 1].time, lines, ids],
      });
      done += 1;
    }
  }
  console.log(done);
  await db.end();
  agent.destroy();
}

main();

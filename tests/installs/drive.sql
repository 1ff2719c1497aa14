-- A drive of six fixes of vehicle :vehicle, ten minutes ago.
INSERT INTO gps_coordinates (device_id, longitude, latitude, recorded_at)
SELECT :'vehicle', lon, lat, date_bin('5 min', now(), 'epoch') - interval '10 min' + n * interval '30 s'
  FROM (VALUES (0, 24.93525, 60.16640), (1, 24.93663, 60.16766), (2, 24.93648, 60.16912),
               (3, 24.93974, 60.17022), (4, 24.94359, 60.17034), (5, 24.94622, 60.16979)) AS drive (n, lon, lat);

"""Device ids of 19 digits, and texts that look like one and are none."""

from drives import drive, insert, process_all, recent_window


def test_devices_with_numbers_of_nineteen_digits(db, osrm):
    fixes = drive(osrm, recent_window(), 300)
    ids = [9223372036854775807, -9223372036854775808, 1234567890123456789, 999999999999999999, 0]
    db.rows("CREATE TABLE places (dev bigint, t timestamptz, c float8[])")
    for number in ids:
        for lon, lat, at in fixes:
            db.rows("INSERT INTO places VALUES (%s, %s, %s)", (number, at, [lon, lat]))
    db.rows("SELECT * FROM adopt_source('places', device_column => 'dev', time_column => 't', coordinates_column => 'c')")
    for other in ("9223372036854775808", "99999999999999999999", "-9223372036854775809", "007", "1e3", "-0"):
        insert(db, other, fixes[:2])
    process_all(db)
    assert db.value("SELECT count(*) FROM places WHERE NOT processed") == 0
    for number in ids:
        assert db.value("SELECT count(*) FROM get_device_paths(%s)", (str(number),)) == 1

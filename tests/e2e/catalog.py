"""All that belongs to the extension in a database, object by object, as text that can be compared."""

# Each line is an object, or a part of one, and everything that is said of it. No OIDs: they differ between databases,
# as does pg_attver, by which newer servers tell when a column was made.
_CATALOG = """
WITH member AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'osrm_matcher'
), relation AS (
    SELECT c.* FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), part AS (
    SELECT pg_describe_object(classid, objid, 0) AS object, 'comment' AS what,
           coalesce(obj_description(objid, classid::regclass::name), '') AS said FROM member
    UNION ALL
    SELECT pg_describe_object(m.classid, m.objid, 0), 'definition', concat_ws(' ',
           CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(p.oid) END, p.proacl, p.procost, p.prorows)
      FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    UNION ALL
    SELECT oid::regclass::text, 'relation', concat_ws(' ', relkind, relpersistence, relreplident, relrowsecurity,
           reloptions, relacl, CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END,
           (SELECT concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle)
              FROM pg_sequence WHERE seqrelid = relation.oid)) FROM relation
    UNION ALL
    SELECT a.attrelid::regclass || '.' || a.attname, 'column', concat_ws(' ',
           (SELECT count(*) FROM pg_attribute b
             WHERE b.attrelid = a.attrelid AND b.attnum BETWEEN 1 AND a.attnum AND NOT b.attisdropped),
           format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, a.attstorage,
           a.attcompression, a.attstattarget, a.attacl,
           ARRAY(SELECT o FROM unnest(a.attoptions) AS o WHERE o NOT LIKE 'pg_attver=%'), pg_get_expr(d.adbin, d.adrelid),
           col_description(a.attrelid, a.attnum))
      FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT conrelid::regclass || '.' || conname, 'constraint', concat_ws(' ', pg_get_constraintdef(oid), convalidated)
      FROM pg_constraint WHERE conrelid IN (SELECT oid FROM relation)
    UNION ALL
    SELECT indexrelid::regclass::text, 'index', concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid,
           obj_description(indexrelid, 'pg_class')) FROM pg_index WHERE indrelid IN (SELECT oid FROM relation)
    UNION ALL
    SELECT tgrelid::regclass || '.' || tgname, 'trigger', pg_get_triggerdef(oid)
      FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN (SELECT oid FROM relation)
    UNION ALL
    SELECT table_of::regclass::text, 'dumped', coalesce(condition, '')
      FROM pg_extension, unnest(extconfig, extcondition) AS dump (table_of, condition) WHERE extname = 'osrm_matcher'
)
SELECT what || ' of ' || object, said FROM part"""


def catalog(database):
    """What is said of each object, by its name."""
    return dict(database.rows(_CATALOG))


def differences(one, other):
    """The objects of which two catalogs do not say the same, in order."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))

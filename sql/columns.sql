-- How columns of a table of the application are read: as fragments of SQL, made and checked by adopt_source().

-- ---------------------------------------------------------------------------------------------
-- From columns to expressions
-- ---------------------------------------------------------------------------------------------
-- The type of a column, domains looked through; an error names what is missing.
CREATE FUNCTION _column_type(relation regclass, column_name name) RETURNS regtype
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id oid;
BEGIN
    SELECT a.atttypid INTO type_id
      FROM pg_attribute a
     WHERE a.attrelid = relation AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped;
    IF type_id IS NULL THEN
        RAISE EXCEPTION 'table % has no column "%"', relation, column_name
            USING ERRCODE = 'undefined_column',
                  HINT = 'Name the table''s columns: adopt_source(relation, device_column => ..., time_column => ..., ...).';
    END IF;
    WHILE EXISTS (SELECT FROM pg_type t WHERE t.oid = type_id AND t.typtype = 'd') LOOP
        SELECT t.typbasetype INTO type_id FROM pg_type t WHERE t.oid = type_id;
    END LOOP;
    RETURN type_id;
END
$$;
COMMENT ON FUNCTION _column_type IS 'base type of a column; stable';

CREATE FUNCTION _types_of(relation regclass, columns name[]) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT jsonb_object_agg(a.attname, format_type(a.atttypid, NULL))
      FROM pg_attribute a
     WHERE a.attrelid = _types_of.relation AND a.attname = ANY (_types_of.columns) AND NOT a.attisdropped;
END;
COMMENT ON FUNCTION _types_of IS 'columns of a table with the type of each; stable';

-- Whose types have changed is read in a way that was made for others: what PostgreSQL says of that is no help.
CREATE FUNCTION _changed_columns(relation regclass) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT format('since the table was adopted, %s: release_source(%L), then adopt_source() again',
                  string_agg(CASE WHEN n.types ->> w.name IS NULL THEN format('column %I is gone', w.name)
                                  ELSE format('column %I has become %s from %s', w.name, n.types ->> w.name, w.type) END,
                             ', ' ORDER BY w.name),
                  a.relation)
      FROM adopted_sources a
     CROSS JOIN LATERAL jsonb_each_text(a.column_types) AS w (name, type)
     CROSS JOIN LATERAL _types_of(a.relation, ARRAY(SELECT jsonb_object_keys(a.column_types)::name)) AS n (types)
     WHERE a.relation = _changed_columns.relation AND n.types ->> w.name IS DISTINCT FROM w.type
     GROUP BY a.relation;
END;
COMMENT ON FUNCTION _changed_columns IS
    'which columns of an adopted table have not the types that they had, and what to do; null where all have; stable';

CREATE FUNCTION _refuse_type(relation regclass, column_name name, type_id regtype, wanted text) RETURNS void
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'column "%" of table % is of type %, which cannot serve as %', column_name, relation, type_id, wanted
        USING ERRCODE = 'datatype_mismatch',
              HINT = 'Add a generated column (GENERATED ALWAYS AS ... STORED) of a type that can, or one that a trigger fills where PostgreSQL says that the expression is not immutable, and name that one.';
END
$$;
COMMENT ON FUNCTION _refuse_type IS 'raises datatype_mismatch; immutable';

-- A device of another source may have a name that is no value of this type: that is nobody, not an error.
CREATE FUNCTION _device_value(relation regclass, column_name name) RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
BEGIN
    IF EXISTS (SELECT FROM pg_attribute a JOIN pg_collation c ON c.oid = a.attcollation
                WHERE a.attrelid = relation AND a.attname = column_name AND NOT c.collisdeterministic) THEN
        RAISE EXCEPTION 'column "%" of table % takes different texts for equal, and so cannot tell devices apart',
            column_name, relation
            USING ERRCODE = 'collation_mismatch', HINT = 'Give it a deterministic collation, or name a generated column that has one.';
    END IF;
    CASE
        WHEN type_id IN ('text'::regtype, 'varchar', 'name') THEN
            RETURN '$value';
        WHEN type_id = 'bpchar'::regtype THEN
            -- Blanks at the end do not count there, and do in the name of another table's device.
            RETURN 'CASE WHEN right($value, 1) <> '' '' THEN $value::bpchar END';
        WHEN type_id IN ('int2'::regtype, 'int4', 'int8') THEN
            -- In two steps, for the second is not to be tried on what is no number.
            RETURN 'CASE WHEN $value ~ ''^(0|-?[1-9][0-9]{0,18})$'' THEN '
                || 'CASE WHEN $value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN $value::bigint END END';
        WHEN type_id = 'uuid'::regtype THEN
            RETURN 'CASE WHEN $value ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN $value::uuid END';
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id, 'the name of a device');
    END CASE;
END
$$;
COMMENT ON FUNCTION _device_value IS 'the text $value as a value that a column is compared with; stable';

-- A number that no cast may fail on: numeric holds more than double precision does.
CREATE FUNCTION _number_expression(relation regclass, column_name name, wanted text, low integer, high integer)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
BEGIN
    CASE
        WHEN type_id IN ('float8'::regtype, 'float4', 'int2', 'int4', 'int8') THEN
            RETURN format('p.%I::double precision', column_name);
        WHEN type_id = 'numeric'::regtype THEN
            RETURN format('CASE WHEN p.%1$I BETWEEN %2$s AND %3$s THEN p.%1$I::double precision END',
                          column_name, low, high);
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id, wanted);
    END CASE;
END
$$;
COMMENT ON FUNCTION _number_expression IS 'the expression of a column that holds a number; stable';

-- Longitude and latitude out of one column. What holds no pair, gives null, and is counted as rejected.
CREATE FUNCTION _pair_expressions(relation regclass, column_name name, coordinate_order text,
                                  OUT longitude text, OUT latitude text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
    type_name name;
    type_schema name;
    element text;
    number text;
    other text;
BEGIN
    SELECT t.typname, n.nspname INTO type_name, type_schema
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type_id;
    CASE
        WHEN type_id IN ('float8[]'::regtype, 'float4[]', 'int2[]', 'int4[]', 'int8[]') THEN
            element := 'CASE WHEN cardinality(p.%1$I) = 2 THEN p.%1$I[%2$s]::double precision END';
            longitude := format(element, column_name, 1);
            latitude := format(element, column_name, 2);
        WHEN type_id = 'numeric[]'::regtype THEN
            element := 'CASE WHEN cardinality(p.%1$I) = 2 AND p.%1$I[%2$s] BETWEEN -180 AND 180 '
                    || 'THEN p.%1$I[%2$s]::double precision END';
            longitude := format(element, column_name, 1);
            latitude := format(element, column_name, 2);
        WHEN type_id = 'point'::regtype THEN
            longitude := format('p.%I[0]', column_name);
            latitude := format('p.%I[1]', column_name);
        WHEN type_name IN ('geometry', 'geography')
             AND EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
                          WHERE d.classid = 'pg_type'::regclass AND d.objid = type_id
                            AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'postgis') THEN
            EXECUTE format('SELECT %I.postgis_typmod_srid(a.atttypmod) FROM pg_attribute a
                             WHERE a.attrelid = $1 AND a.attname = $2', type_schema)
               INTO number USING relation, column_name;
            IF number NOT IN ('0', '4326') THEN
                RAISE EXCEPTION 'column "%" of table % has SRID %, not 4326', column_name, relation, number
                    USING ERRCODE = 'feature_not_supported',
                          HINT = format('Add generated columns with longitude and latitude, and name those: GENERATED ALWAYS AS (%1$I.ST_X(%1$I.ST_Transform(%2$I::%1$I.geometry, 4326))) STORED, and ST_Y.',
                                        type_schema, column_name);
            END IF;
            element := 'CASE WHEN %2$I.ST_GeometryType(p.%1$I::%2$I.geometry) = ''ST_Point'' '
                    || 'AND NOT %2$I.ST_IsEmpty(p.%1$I::%2$I.geometry) THEN %2$I.%3$I(p.%1$I::%2$I.geometry) END';
            longitude := format(element, column_name, type_schema, 'st_x');
            latitude := format(element, column_name, type_schema, 'st_y');
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id,
                'a pair of coordinates (an array of numbers, a point, or a geometry or geography of PostGIS)');
    END CASE;
    IF coordinate_order = 'latlon' THEN
        other := longitude;
        longitude := latitude;
        latitude := other;
    ELSIF coordinate_order IS DISTINCT FROM 'lonlat' THEN
        RAISE EXCEPTION 'coordinate_order is "%", and must be lonlat or latlon', coordinate_order
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
COMMENT ON FUNCTION _pair_expressions IS 'the expressions of a column that holds a pair of coordinates; stable';

-- Time: the column as timestamptz, and a timestamptz ($value) as something that the column is compared with.
CREATE FUNCTION _time_expressions(relation regclass, column_name name, time_zone text, time_unit text,
                                  OUT expression text, OUT bound text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_id regtype := @extschema@._column_type(relation, column_name);
    factor bigint;
    low bigint;
    high bigint;
    whole boolean;
BEGIN
    CASE
        WHEN type_id = 'timestamptz'::regtype THEN
            expression := format('p.%I', column_name);
            bound := '$value';
        WHEN type_id = 'timestamp'::regtype THEN
            PERFORM now() AT TIME ZONE time_zone;
            expression := format('(p.%I AT TIME ZONE %L)', column_name, time_zone);
            bound := format('($value AT TIME ZONE %L)', time_zone);
        WHEN type_id IN ('int4'::regtype, 'int8', 'float8', 'numeric') THEN
            factor := CASE time_unit WHEN 's' THEN 1 WHEN 'ms' THEN 1000 WHEN 'us' THEN 1000000 END;
            IF factor IS NULL THEN
                RAISE EXCEPTION 'column "%" of table % is a number: time_unit must say whether it counts s, ms or us since 1970',
                    column_name, relation USING ERRCODE = 'invalid_parameter_value';
            END IF;
            -- The years 1 to 9999; what lies outside is no time.
            low := -62135596800 * factor;
            high := 253402300800 * factor;
            -- Moments are whole microseconds: what is within half of one is that moment. Of a double precision, to_timestamp()
            -- rounds to them; to convert a numeric to one would round twice.
            expression := format(
                'CASE WHEN p.%1$I > %2$s AND p.%1$I < %3$s THEN to_timestamp('
                    || CASE WHEN type_id = 'numeric'::regtype THEN 'round(p.%1$I * %5$s, 6)::double precision'
                            ELSE 'p.%1$I::double precision / %4$s' END || ') END',
                column_name, low, high, factor, trim_scale(1.0 / factor));
            whole := type_id IN ('int4'::regtype, 'int8');
            bound := format(
                'CASE WHEN isfinite($value) THEN (%1$s)::%2$s WHEN $value > ''epoch'' THEN %4$s ELSE %3$s END',
                -- Of a time in UTC, which goes with no setting: so partitions are known when a statement is planned.
                format(CASE WHEN whole THEN 'ceil(extract(epoch FROM $value AT TIME ZONE ''UTC'') * %s)'
                            ELSE '(extract(epoch FROM $value AT TIME ZONE ''UTC'') - 0.0000005) * %s' END, factor),
                CASE WHEN whole THEN 'bigint' ELSE type_id::text END, low, high);
        ELSE
            PERFORM @extschema@._refuse_type(relation, column_name, type_id,
                'the time of a point (timestamp with or without time zone, or a number of s, ms or us since 1970)');
    END CASE;
END
$$;
COMMENT ON FUNCTION _time_expressions IS 'the expressions of a column that holds a time; stable';

-- Partitions messages by hash of the thread, and events by range of their stamp. See docs/scaling.md.
--
-- Run it as the owner of the tables, with the servers stopped and a backup made:
--   psql "$DATABASE_URL" --set=ON_ERROR_STOP=1 --file=deploy/partition.sql
--
-- It is one transaction, and needs room on the disk for a second copy of both tables. Columns, indexes and foreign keys are
-- taken from the tables as they are. Only the primary keys change, as they have to contain the partition key.
BEGIN;
LOCK TABLE messages, events IN ACCESS EXCLUSIVE MODE;

CREATE FUNCTION pg_temp.partition_table(
    name text, partition_key text, primary_key text, partitions text[], bounds text[]
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    indexes text[];
    constraints text[];
    options text;
    definition text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = name::regclass) = 'p' THEN
        RAISE EXCEPTION '% is partitioned already', name;
    END IF;
    -- An index with the columns of the new primary key is not needed beside it.
    SELECT coalesce(array_agg(pg_get_indexdef(indexrelid)), '{}') INTO indexes FROM pg_index
    WHERE indrelid = name::regclass AND NOT indisprimary
        AND pg_get_indexdef(indexrelid) NOT LIKE '%USING btree (' || primary_key || ')';
    SELECT coalesce(array_agg(format('ALTER TABLE %I ADD CONSTRAINT %I %s', name, conname, pg_get_constraintdef(oid))), '{}')
    INTO constraints FROM pg_constraint WHERE conrelid = name::regclass AND contype IN ('f', 'c');
    SELECT 'WITH (' || array_to_string(reloptions, ', ') || ')' INTO options
    FROM pg_class WHERE oid = name::regclass;
    EXECUTE format('ALTER TABLE %I RENAME TO unpartitioned', name);
    EXECUTE format(
        'CREATE TABLE %I (LIKE unpartitioned INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING STORAGE) PARTITION BY %s',
        name, partition_key);
    FOR i IN 1 .. array_length(partitions, 1) LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF %I %s %s', partitions[i], name, bounds[i], options);
    END LOOP;
    EXECUTE format('INSERT INTO %I OVERRIDING SYSTEM VALUE SELECT * FROM unpartitioned', name);
    DROP TABLE unpartitioned;
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I PRIMARY KEY (%s)', name, name || '_pkey', primary_key);
    FOREACH definition IN ARRAY indexes || constraints LOOP
        EXECUTE definition;
    END LOOP;
END $$;

-- 16 partitions. The id of a message is unique by the way it is made (UUID version 7), no longer by the table.
SELECT pg_temp.partition_table('messages', 'HASH (thread_id)', 'id, thread_id', array_agg('messages_' || i),
    array_agg(format('FOR VALUES WITH (MODULUS 16, REMAINDER %s)', i)))
FROM generate_series(0, 15) AS i;

-- A partition for each 100 million transactions: the first has what there is so far, 10 are ahead, and the last has what comes
-- after these, so that no event is ever refused.
SELECT pg_temp.partition_table('events', 'RANGE (stamp)', 'stamp, "position"', array_agg('events_' || i),
    array_agg(CASE i
        WHEN 0 THEN format('FOR VALUES FROM (MINVALUE) TO (%s)', width * (this + 1))
        WHEN 11 THEN 'DEFAULT'
        ELSE format('FOR VALUES FROM (%s) TO (%s)', width * (this + i), width * (this + i + 1))
    END))
FROM generate_series(0, 11) AS i,
    (SELECT width, pg_current_xact_id()::text::bigint / width AS this FROM (VALUES (100000000)) AS v (width)) AS now;
SELECT setval(pg_get_serial_sequence('events', 'position'), greatest(max(position), 1)) FROM events;
COMMIT;
ANALYZE messages, events;

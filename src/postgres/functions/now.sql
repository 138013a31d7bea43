-- The engine's only clock, to the millisecond. A test moves it by replacing this function.
create function pgflow.now() returns timestamptz
language sql volatile set search_path = ''
as $$ select pg_catalog.date_trunc('milliseconds', pg_catalog.clock_timestamp()) $$;

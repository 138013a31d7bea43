-- A new worker with a lease of so many seconds, renewed by heartbeats.
create function pgflow.register_worker(name text, lease float8) returns int
language sql volatile set search_path = ''
as $$
  insert into pgflow.workers (name, started_at, expires_at)
  values (name, pgflow.now(), pgflow.now() + pg_catalog.make_interval(secs => lease))
  returning worker_id
$$;

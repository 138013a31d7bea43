-- A new worker with a lease of so many seconds, renewed by heartbeats.
create function pgflow.register_worker(name text, lease float8, handler_ids int[], concurrency int, protocol int)
returns int
language sql volatile set search_path = ''
as $$
  insert into pgflow.workers (name, started_at, expires_at, handler_ids, concurrency, protocol)
  values (name, pgflow.now(), pgflow.now() + pg_catalog.make_interval(secs => lease), handler_ids, concurrency, protocol)
  returning worker_id
$$;

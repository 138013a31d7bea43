-- Renews a worker's lease and returns those of its claims that were lost: cancelled with their run, or
-- handed to another worker. A worker that was taken for dead comes back to life; its tasks do not.
create function pgflow.heartbeat(
  worker_id int, name text, lease float8,
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[]
) returns table (run_id uuid, step_index int, task_index int, claim int)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  insert into pgflow.workers as w (worker_id, name, started_at, expires_at)
  overriding system value
  values (heartbeat.worker_id, heartbeat.name, pgflow.now(), pgflow.now() + pg_catalog.make_interval(secs => lease))
  on conflict (worker_id) do update set expires_at = excluded.expires_at;

  return query
  select b.run_id, b.step_index, b.task_index, b.claim
  from unnest(run_ids, step_indexes, task_indexes, claims) b(run_id, step_index, task_index, claim)
  where not exists (
    select from pgflow.step_tasks t
    where t.run_id = b.run_id and t.step_index = b.step_index and t.task_index = b.task_index
      and t.status = 'started' and t.claim = b.claim
  );
end $$;

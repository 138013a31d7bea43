-- Renews a worker's lease and returns those of its claims that were lost: cancelled with their run, or
-- handed to another worker. Raises PF007 when the worker was taken for dead: it must register again.
create function pgflow.heartbeat(
  worker_id int, lease float8,
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[]
) returns table (run_id uuid, step_index int, task_index int, claim int)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
begin
  update pgflow.workers w set
    expires_at = pgflow.now() + pg_catalog.make_interval(secs => lease),
    -- Its tasks are looked for among those begun since then, also when the clock was set back.
    started_at = least(w.started_at, pgflow.now())
  where w.worker_id = heartbeat.worker_id;
  if not found then
    raise exception using errcode = 'PF007', message = heartbeat.worker_id::text;
  end if;

  return query
  select b.run_id, b.step_index, b.task_index, b.claim
  from unnest(run_ids, step_indexes, task_indexes, claims) b(run_id, step_index, task_index, claim)
  where not exists (
    select from pgflow.run_steps t
    where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
      and t.task_status = 'started' and t.claim = b.claim
  );
end $$;

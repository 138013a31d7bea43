-- Settles the tasks of dead workers as failed: back to the queue at once, or failed for good after
-- the last attempt. Returns what settle_tasks does.
create function pgflow.rescue_tasks(notify boolean default true) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _dead int[];
  _run_ids uuid[]; _step_indexes int[]; _task_indexes int[]; _claims int[];
begin
  -- One rescuer for each dead worker; the others go on.
  select array_agg(d.worker_id) into _dead from (
    select w.worker_id from pgflow.workers w where w.expires_at < _now
    order by w.worker_id for update skip locked
  ) d;
  if _dead is null then return; end if;

  select array_agg(t.run_id), array_agg(t.step_index), array_agg(t.task_index), array_agg(t.claim)
  into _run_ids, _step_indexes, _task_indexes, _claims
  from unnest(_dead) d(worker_id)
  cross join lateral (
    select * from pgflow.step_tasks t where t.worker_id = d.worker_id and t.status = 'started' offset 0
  ) t;

  delete from pgflow.workers w where w.worker_id = any (_dead);
  if _run_ids is null then return; end if;
  return query select s.* from pgflow.settle_tasks(
    _run_ids, _step_indexes, _task_indexes, _claims,
    pg_catalog.array_fill('failed'::text, array[pg_catalog.cardinality(_run_ids)]),
    pg_catalog.array_fill(null::jsonb, array[pg_catalog.cardinality(_run_ids)]),
    pg_catalog.array_fill('The worker that ran this attempt stopped answering.'::text, array[pg_catalog.cardinality(_run_ids)]),
    pg_catalog.array_fill(0::float8, array[pg_catalog.cardinality(_run_ids)]), notify) s;
end $$;

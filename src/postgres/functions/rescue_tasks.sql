-- Settles the tasks of dead workers as failed: back to the queue at once, or failed for good after
-- the last attempt. Returns what settle_tasks does.
create function pgflow.rescue_tasks(notify boolean default true) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _dead int[];
  _since timestamptz;
  _run_ids uuid[]; _step_indexes int[]; _task_indexes int[]; _claims int[];
begin
  -- One rescuer for each dead worker; the others go on.
  select array_agg(d.worker_id), min(d.started_at) into _dead, _since from (
    select w.worker_id, w.started_at from pgflow.workers w where w.expires_at < _now
    order by w.worker_id for update skip locked
  ) d;
  if _dead is null then return; end if;

  select array_agg(t.run_id), array_agg(t.step_index), array_agg(t.task_index), array_agg(t.claim)
  into _run_ids, _step_indexes, _task_indexes, _claims
  from pgflow.run_steps t
  where t.task_started_at >= _since - interval '10 minutes'   -- for a clock that was set back since its last heartbeat
    and t.worker_id = any (_dead) and t.task_status = 'started';

  delete from pgflow.workers w where w.worker_id = any (_dead);
  if _run_ids is null then return; end if;
  return query select s.* from pgflow.settle_tasks(
    _run_ids, _step_indexes, _task_indexes, _claims,
    pg_catalog.array_fill('failed'::text, array[pg_catalog.cardinality(_run_ids)]),
    pg_catalog.array_fill(null::jsonb, array[pg_catalog.cardinality(_run_ids)]),
    pg_catalog.array_fill('The worker that ran this attempt stopped answering.'::text, array[pg_catalog.cardinality(_run_ids)]),
    pg_catalog.array_fill(0::float8, array[pg_catalog.cardinality(_run_ids)]), notify) s;
end $$;

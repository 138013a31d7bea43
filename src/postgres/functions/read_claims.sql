-- The tasks that queue_tasks gave to a worker at once, as claim_tasks returns them: in the same transaction, so all
-- that have started of these steps are its own.
create function pgflow.read_claims(run_ids uuid[], step_indexes int[]) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _row pgflow.change_row;
begin
  _row.kind := 'claim';
  for _row.run_id, _row.step_index, _row.task_index, _row.handler_id, _row.claim, _row.attempt, _row.started_at,
    _row.available_at, _row.item, _row.timeout, _row.root_run_id, _row.input, _row.deps in
    select t.run_id, t.step_index, t.task_index, t.handler_id, t.claim, t.attempt, t.started_at, t.started_at, t.item,
      h.timeout, r.root_run_id, case when t.task_index = 0 then r.input end,
      case when t.task_index = 0 then (
        select coalesce(pg_catalog.jsonb_object_agg(d.step_slug, d.output), '{}') from pgflow.step_states d
        where d.run_id = t.run_id and d.step_index = any (s.depends_on) and d.status = 'completed'
      ) end
    from unnest(run_ids, step_indexes) b(run_id, step_index)
    cross join lateral (
      select r.flow_slug, r.version, r.root_run_id, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.depends_on from pgflow.steps s
      where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = b.step_index offset 0
    ) s
    cross join lateral (
      select * from pgflow.step_tasks t
      where t.run_id = b.run_id and t.step_index = b.step_index and t.status = 'started' offset 0
    ) t
    cross join lateral (select h.timeout from pgflow.handlers h where h.handler_id = t.handler_id offset 0) h
  loop
    return next _row;
  end loop;
end $$;

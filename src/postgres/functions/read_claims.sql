-- The tasks that queue_tasks gave to a worker at once, as claim_tasks returns them: in the same transaction, so all
-- that have started of these steps are its own.
create function pgflow.read_claims(claimed pgflow.ready_step[]) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select 'claim', b.run_id, null::int, null::int, null, null::int, null::jsonb, null::jsonb,
    t.started_at, null::timestamptz, null::timestamptz, null::timestamptz,
    null, null, null::int, case when t.task_index = 0 then r.input end, null::uuid,
    b.step_index, null, null::int, null::int, t.attempt, null, null,
    null::timestamptz, null::timestamptz, null::jsonb, null::int[], t.task_index, t.claim, t.started_at,
    b.handler_id, b.timeout, r.root_run_id, t.item,
    case when t.task_index = 0 then (
      select coalesce(pg_catalog.jsonb_object_agg(d.step_slug, d.output), '{}') from pgflow.step_states d
      where d.run_id = b.run_id and d.step_index = any (b.depends_on) and d.status = 'completed'
    ) end
  from unnest(claimed) b
  cross join lateral (
    select r.root_run_id, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
  ) r
  cross join lateral (
    select t.task_index, t.claim, t.attempt, t.started_at, t.item from pgflow.step_tasks t
    where t.run_id = b.run_id and t.step_index = b.step_index and t.status = 'started' offset 0
  ) t;
end $$;

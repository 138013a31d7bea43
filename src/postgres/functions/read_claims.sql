-- The tasks that queue_tasks gave to a worker at once, as claim_tasks returns them: in the same transaction, so all
-- that have started of these steps are its own. It has no settings, for the same reason as `changed_rows`.
create function pgflow.read_claims(claimed pgflow.ready_step[]) returns setof pgflow.change_row
language sql stable
as $$
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
$$;

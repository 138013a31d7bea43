-- The tasks of steps that were a worker's own at once when they became ready, as claim_tasks returns them. It has no settings,
-- for the same reason as `changed_rows`.
create function pgflow.read_claims(claimed pgflow.ready_step[], moment timestamptz) returns setof pgflow.change_row
language sql stable
as $$
  select 'claim', b.run_id, null::int, null::int, null, null::int, null::jsonb, null::jsonb,
    moment, null::timestamptz, null::timestamptz, null::timestamptz,
    null, null, null::int, case when t.task_index = 0 then r.input end, null::uuid,
    b.step_index, null, null::int, null::int, 1, null, null,
    null::timestamptz, null::timestamptz, null::jsonb, null::int[], t.task_index, 1, moment,
    b.handler_id, b.timeout, r.root_run_id, t.item,
    case when t.task_index = 0 then (
      select coalesce(pg_catalog.jsonb_object_agg(d.step_slug, d.output), '{}') from pgflow.run_steps d
      where d.run_id = b.run_id and d.task_index in (-1, 0) and d.step_index = any (b.depends_on) and d.status = 'completed'
    ) end, null::int
  from unnest(claimed) b
  cross join lateral (
    select r.root_run_id, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
  ) r
  cross join lateral (
    select 0 as task_index, null::jsonb as item where not b.is_map
    union all
    select t.task_index, t.item from pgflow.run_steps t
    where b.is_map and t.run_id = b.run_id and t.task_index between 0 and b.tasks - 1 and t.step_index = b.step_index offset 0
  ) t;
$$;

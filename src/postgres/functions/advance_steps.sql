-- Steps that ended (completed) release their dependents; those that become ready get their tasks,
-- empty maps complete at once and release theirs, until nothing moves. The caller holds the runs'
-- locks; rows are stamped with the runs' next seq. A run in `failed_runs` only counts down.
--
-- done_*: what ended. ended_runs: the run of each step that completed in here. ready_at: when the
-- first of the new tasks is due, null when there are none.
create function pgflow.advance_steps(
  done_runs uuid[], done_steps int[], failed_runs uuid[], moment timestamptz,
  out ended_runs uuid[], out ready_at timestamptz
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _ready_at timestamptz;
begin
  ended_runs := '{}';
  while pg_catalog.cardinality(done_runs) > 0 loop
    with released as (
      select d.run_id, c.step_index, count(*)::int as parents, min(r.seq) + 1 as seq,
        min(r.flow_slug) as flow_slug, min(r.version) as version
      from unnest(done_runs, done_steps) d(run_id, step_index)
      cross join lateral (
        select r.seq, r.flow_slug, r.version from pgflow.runs r where r.run_id = d.run_id offset 0
      ) r
      cross join lateral (
        select s.dependents from pgflow.steps s
        where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = d.step_index offset 0
      ) s
      cross join lateral unnest(s.dependents) c(step_index)
      group by d.run_id, c.step_index
    ), counted as materialized (
      select e.run_id, e.step_index, e.seq, x.tid, x.step_slug, s.handler_id, s.kind,
        x.remaining_deps - e.parents as remaining_deps, h.start_delay,
        case
          when x.remaining_deps > e.parents or e.run_id = any (failed_runs) then null
          when s.kind = 'single' then 1
          when source.output is null then 0
          else pg_catalog.jsonb_array_length(source.output)
        end as tasks,
        source.output as items
      from released e
      cross join lateral (
        select t.ctid as tid, t.step_slug, t.remaining_deps from pgflow.step_states t
        where t.run_id = e.run_id and t.step_index = e.step_index offset 0
      ) x
      cross join lateral (
        select s.kind, s.over, s.handler_id from pgflow.steps s
        where s.flow_slug = e.flow_slug and s.version = e.version and s.step_index = e.step_index offset 0
      ) s
      cross join lateral (
        select h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0
      ) h
      left join lateral (
        select case when s.over is null
          then (select r.input from pgflow.runs r where r.run_id = e.run_id)
          else (select t.output from pgflow.step_states t where t.run_id = e.run_id and t.step_index = s.over)
          end as output
        where s.kind = 'map' and x.remaining_deps = e.parents offset 0
      ) source on true
    ), updated as (
      update pgflow.step_states t set
        remaining_deps = c.remaining_deps,
        initial_tasks = c.tasks,
        remaining_tasks = c.tasks,
        status = case when c.tasks = 0 then 'completed' else t.status end,
        output = case when c.tasks = 0 then '[]'::jsonb end,
        started_at = case when c.tasks = 0 then moment end,
        completed_at = case when c.tasks = 0 then moment end,
        seq = c.seq
      from counted c where t.ctid = c.tid
    ), queued as (
      insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, available_at, item)
      select c.run_id, c.step_index, i.task_index, c.step_slug, c.handler_id,
        moment + pg_catalog.make_interval(secs => c.start_delay), i.item
      from counted c
      cross join lateral (
        select 0 as task_index, null::jsonb as item where c.kind = 'single'
        union all
        select (e.ordinality - 1)::int, e.value
        from pg_catalog.jsonb_array_elements(case when c.kind = 'map' then c.items end) with ordinality e
      ) i
      where c.tasks > 0
    )
    select coalesce(array_agg(c.run_id) filter (where c.tasks = 0), '{}'),
      coalesce(array_agg(c.step_index) filter (where c.tasks = 0), '{}'),
      min(moment + pg_catalog.make_interval(secs => c.start_delay)) filter (where c.tasks > 0)
    into done_runs, done_steps, _ready_at
    from counted c;

    ready_at := least(ready_at, _ready_at);
    ended_runs := ended_runs || done_runs;
  end loop;
end $$;

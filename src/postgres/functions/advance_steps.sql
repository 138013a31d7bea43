-- Steps that ended (completed or skipped) release their dependents. A dependent that becomes ready
-- gets its tasks; or it ends at once, as an empty map or by its condition, and releases its own: until
-- nothing moves. The caller holds the runs' locks; rows are stamped with the runs' next seq.
--
-- done_*: what ended; done_cascades: whether that skips all that comes after. A run in failed_runs only
-- counts down. Returns the run of each step that ended in here, the runs that failed (those given, too)
-- with their errors, and when the first of the new tasks is due, null when there are none.
create function pgflow.advance_steps(
  done_runs uuid[], done_steps int[], done_cascades boolean[], moment timestamptz,
  inout failed_runs uuid[], inout failed_errors jsonb[], out ended_runs uuid[], out ready_at timestamptz
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _ready_at timestamptz;
  _failed_runs uuid[]; _failed_errors jsonb[];
begin
  ended_runs := '{}';
  while pg_catalog.cardinality(done_runs) > 0 loop
    with released as (
      select d.run_id, c.step_index, count(*)::int as parents, bool_or(d.cascade) as cascade,
        min(r.seq) + 1 as seq, min(r.flow_slug) as flow_slug, min(r.version) as version
      from unnest(done_runs, done_steps, done_cascades) d(run_id, step_index, cascade)
      cross join lateral (
        select r.seq, r.flow_slug, r.version from pgflow.runs r where r.run_id = d.run_id offset 0
      ) r
      cross join lateral (
        select s.dependents from pgflow.steps s
        where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = d.step_index offset 0
      ) s
      cross join lateral unnest(s.dependents) c(step_index)
      group by d.run_id, c.step_index
    ), counted as (
      select e.run_id, e.step_index, e.seq, x.tid, x.step_slug, x.remaining_deps - e.parents as remaining_deps,
        s.handler_id, s.kind, s.when_unmet, s.over, s.depends_on, s.if_pattern, s.if_not_pattern,
        case when x.status <> 'created' or x.initial_tasks is not null or e.run_id = any (failed_runs) then 'none'
          when e.cascade then 'cascade'
          when x.remaining_deps > e.parents then 'none'
          when s.if_pattern is not null or s.if_not_pattern is not null then 'condition'
          else 'tasks' end as due
      from released e
      cross join lateral (
        select t.ctid as tid, t.step_slug, t.status, t.remaining_deps, t.initial_tasks from pgflow.step_states t
        where t.run_id = e.run_id and t.step_index = e.step_index
          -- One that a cascade skipped in an earlier change stays as it was then.
          and (t.status = 'created' or t.seq = e.seq) offset 0
      ) x
      cross join lateral (
        select s.* from pgflow.steps s
        where s.flow_slug = e.flow_slug and s.version = e.version and s.step_index = e.step_index offset 0
      ) s
    ), judged as materialized (
      select c.run_id, c.step_index, c.seq, c.tid, c.step_slug, c.remaining_deps, c.handler_id, c.kind, source.output as items,
        h.start_delay,
        case when c.due = 'none' then 'none'
          when c.due = 'cascade' then 'cascade'
          when unmet.unmet then c.when_unmet
          when c.kind = 'map' and (source.output is null or source.output = '[]') then 'empty'
          else 'tasks' end as verdict,
        case when c.due not in ('condition', 'tasks') or unmet.unmet then null
          when c.kind = 'single' then 1
          when source.output is null then 0
          else pg_catalog.jsonb_array_length(source.output) end as tasks
      from counted c
      cross join lateral (select h.start_delay from pgflow.handlers h where h.handler_id = c.handler_id offset 0) h
      left join lateral (
        select case when c.over is null
          then (select r.input from pgflow.runs r where r.run_id = c.run_id)
          else (select t.output from pgflow.step_states t where t.run_id = c.run_id and t.step_index = c.over)
          end as output
        where c.kind = 'map' and c.due in ('condition', 'tasks') offset 0
      ) source on true
      left join lateral (
        select pgflow.is_unmet(c.if_pattern, c.if_not_pattern, coalesce(o.outputs, '{}')) as unmet
        from (
          select pg_catalog.jsonb_object_agg(t.step_slug, t.output) as outputs
          from unnest(c.depends_on || c.over) p(step_index)
          cross join lateral (
            select t.step_slug, t.output from pgflow.step_states t
            where t.run_id = c.run_id and t.step_index = p.step_index and t.status = 'completed' offset 0
          ) t
        ) o
        where c.due = 'condition'
      ) unmet on true
    ), updated as (
      update pgflow.step_states t set
        remaining_deps = j.remaining_deps,
        initial_tasks = coalesce(j.tasks, t.initial_tasks),
        remaining_tasks = coalesce(j.tasks, t.remaining_tasks),
        status = case j.verdict when 'empty' then 'completed' when 'fail' then 'failed'
          when 'skip' then 'skipped' when 'skip-cascade' then 'skipped' when 'cascade' then 'skipped' else t.status end,
        output = case when j.verdict = 'empty' then '[]'::jsonb else t.output end,
        started_at = case when j.verdict = 'empty' then moment else t.started_at end,
        completed_at = case when j.verdict = 'empty' then moment else t.completed_at end,
        failed_at = case when j.verdict = 'fail' then moment else t.failed_at end,
        error_message = case when j.verdict = 'fail' then 'The condition of the step was not met.' else t.error_message end,
        skipped_at = case when j.verdict in ('skip', 'skip-cascade', 'cascade') then moment else t.skipped_at end,
        skip_reason = case j.verdict when 'cascade' then 'dependency_skipped' when 'skip' then 'condition_unmet'
          when 'skip-cascade' then 'condition_unmet' else t.skip_reason end,
        seq = j.seq
      from judged j where t.ctid = j.tid
    ), queued as (
      insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, available_at, item)
      select j.run_id, j.step_index, i.task_index, j.step_slug, j.handler_id,
        moment + pg_catalog.make_interval(secs => j.start_delay), i.item
      from judged j
      cross join lateral (
        select 0 as task_index, null::jsonb as item where j.kind = 'single'
        union all
        select (e.ordinality - 1)::int, e.value
        from pg_catalog.jsonb_array_elements(case when j.kind = 'map' then j.items end) with ordinality e
      ) i
      where j.verdict = 'tasks'
    )
    select
      coalesce(array_agg(j.run_id) filter (where j.verdict not in ('none', 'tasks', 'fail')), '{}'),
      coalesce(array_agg(j.step_index) filter (where j.verdict not in ('none', 'tasks', 'fail')), '{}'),
      coalesce(array_agg(j.verdict in ('cascade', 'skip-cascade')) filter (where j.verdict not in ('none', 'tasks', 'fail')), '{}'),
      coalesce(array_agg(j.run_id order by j.step_index) filter (where j.verdict = 'fail'), '{}'),
      coalesce(array_agg(pg_catalog.jsonb_build_object('stepSlug', j.step_slug, 'taskIndex', null,
        'message', 'The condition of the step was not met.') order by j.step_index) filter (where j.verdict = 'fail'), '{}'),
      min(moment + pg_catalog.make_interval(secs => j.start_delay)) filter (where j.verdict = 'tasks')
    into done_runs, done_steps, done_cascades, _failed_runs, _failed_errors, _ready_at
    from judged j;

    ready_at := least(ready_at, _ready_at);
    ended_runs := ended_runs || done_runs;
    failed_runs := failed_runs || _failed_runs;
    failed_errors := failed_errors || _failed_errors;
  end loop;
end $$;

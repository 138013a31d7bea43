-- Judges steps that are ready, whose number of tasks is not known yet: a map's, or that of a step with a condition. A cascade skips
-- them. They get that number, or end at once: skipped, failed, or completed as an empty map. The caller holds the
-- runs' locks. Returns what ended, what failed, and what is to get its tasks, with the times when that may begin.
create function pgflow.judge_steps(
  run_ids uuid[], step_indexes int[], cascades boolean[], begins timestamptz[], moment timestamptz,
  out done_runs uuid[], out done_steps int[], out done_cascades boolean[],
  out failed_runs uuid[], out failed_errors jsonb[],
  out ready_runs uuid[], out ready_steps int[], out begin_ats timestamptz[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  with open as (
    select b.run_id, b.step_index, b.begin_at, r.seq + 1 as seq, r.input, x.tid, x.step_slug, s.kind, s.when_unmet,
      s.over, s.depends_on, s.if_pattern, s.if_not_pattern, s.dep_count,
      case when b.cascade then 'cascade'
        when s.if_pattern is not null or s.if_not_pattern is not null then 'condition' else 'map' end as due
    from unnest(run_ids, step_indexes, cascades, begins) b(run_id, step_index, cascade, begin_at)
    cross join lateral (
      select r.seq, r.flow_slug, r.version, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select t.ctid as tid, t.step_slug from pgflow.step_states t
      where t.run_id = b.run_id and t.step_index = b.step_index and t.status = 'created' and t.initial_tasks is null offset 0
    ) x
    cross join lateral (
      select s.* from pgflow.steps s
      where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = b.step_index offset 0
    ) s
  ), judged as materialized (
    select o.run_id, o.step_index, o.begin_at, o.seq, o.tid, o.step_slug,
      case when o.due = 'cascade' then 'cascade'
        when unmet.unmet then o.when_unmet
        when o.kind = 'map' and (source.output is null or source.output = '[]') then 'empty'
        else 'tasks' end as verdict,
      case when o.due = 'cascade' or unmet.unmet then null
        when o.kind = 'single' then 1
        when source.output is null then 0
        else pg_catalog.jsonb_array_length(source.output) end as tasks
    from open o
    left join lateral (
      select case when o.over is null then o.input
        else (select t.output from pgflow.step_states t where t.run_id = o.run_id and t.step_index = o.over) end as output
      where o.kind = 'map' and o.due <> 'cascade' offset 0
    ) source on true
    left join lateral (
      select pgflow.is_unmet(o.if_pattern, o.if_not_pattern,
        case when o.dep_count = 0 then o.input else coalesce(d.outputs, '{}') end) as unmet
      from (
        select pg_catalog.jsonb_object_agg(t.step_slug, t.output) as outputs
        from unnest(o.depends_on || o.over) p(step_index)
        cross join lateral (
          select t.step_slug, t.output from pgflow.step_states t
          where t.run_id = o.run_id and t.step_index = p.step_index and t.status = 'completed' offset 0
        ) t
      ) d
      where o.due = 'condition'
    ) unmet on true
  ), updated as (
    update pgflow.step_states t set
      initial_tasks = j.tasks,
      remaining_tasks = j.tasks,
      status = case j.verdict when 'tasks' then 'created' when 'empty' then 'completed' when 'fail' then 'failed'
        else 'skipped' end,
      output = case when j.verdict = 'empty' then '[]'::jsonb end,
      started_at = case when j.verdict = 'empty' then moment end,
      completed_at = case when j.verdict = 'empty' then moment end,
      failed_at = case when j.verdict = 'fail' then moment end,
      error_message = case when j.verdict = 'fail' then 'The condition of the step was not met.' end,
      skipped_at = case when j.verdict in ('skip', 'skip-cascade', 'cascade') then moment end,
      skip_reason = case j.verdict when 'cascade' then 'dependency_skipped' when 'skip' then 'condition_unmet'
        when 'skip-cascade' then 'condition_unmet' end,
      seq = j.seq
    from judged j where t.ctid = j.tid
  )
  select
    coalesce(array_agg(j.run_id) filter (where j.verdict not in ('tasks', 'fail')), '{}'),
    coalesce(array_agg(j.step_index) filter (where j.verdict not in ('tasks', 'fail')), '{}'),
    coalesce(array_agg(j.verdict in ('cascade', 'skip-cascade')) filter (where j.verdict not in ('tasks', 'fail')), '{}'),
    coalesce(array_agg(j.run_id order by j.step_index) filter (where j.verdict = 'fail'), '{}'),
    coalesce(array_agg(pg_catalog.jsonb_build_object('stepSlug', j.step_slug, 'taskIndex', null,
      'message', 'The condition of the step was not met.') order by j.step_index) filter (where j.verdict = 'fail'), '{}'),
    array_agg(j.run_id) filter (where j.verdict = 'tasks'), array_agg(j.step_index) filter (where j.verdict = 'tasks'),
    array_agg(j.begin_at) filter (where j.verdict = 'tasks')
  into done_runs, done_steps, done_cascades, failed_runs, failed_errors, ready_runs, ready_steps, begin_ats
  from judged j;
end $$;

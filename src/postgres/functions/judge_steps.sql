-- Judges steps that are ready, whose number of tasks is not known yet: a map's, or that of a step with a condition. A cascade skips
-- them. They get that number, or end at once: skipped, failed, or completed as an empty map. The caller holds the
-- runs' locks. Returns what ended, what failed, and what is to get its tasks.
create function pgflow.judge_steps(
  opened pgflow.open_step[], moment timestamptz,
  out done pgflow.done_step[], out failed_runs uuid[], out failed_errors jsonb[], out ready pgflow.ready_step[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  with open as (
    select b.run_id, b.step_index, coalesce(b.begin_at, moment) + pg_catalog.make_interval(secs => h.start_delay) as due_at,
      r.seq + 1 as seq, r.input, x.tid, s.*, h.timeout,
      case when b.is_cascaded then 'cascade'
        when s.if_pattern is not null or s.if_not_pattern is not null then 'condition' else 'map' end as due
    from unnest(opened) b
    cross join lateral (
      select r.seq, r.flow_slug, r.version, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.step_slug, s.kind, s.state_index, s.when_unmet, s.over, s.depends_on, s.handler_id,
        s.if_pattern, s.if_not_pattern, s.dep_count
      from pgflow.steps s
      where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = b.step_index offset 0
    ) s
    cross join lateral (
      select t.ctid as tid from pgflow.run_steps t
      where t.run_id = b.run_id and t.task_index = s.state_index and t.step_index = b.step_index and t.status = 'created' and t.initial_tasks is null offset 0
    ) x
    cross join lateral (
      select h.start_delay, h.timeout from pgflow.handlers h where h.handler_id = s.handler_id offset 0
    ) h
  ), judged as materialized (
    select o.*,
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
        else (
          select t.output from pgflow.run_steps t
          where t.run_id = o.run_id and t.task_index in (-1, 0) and t.step_index = o.over and t.status is not null
        ) end as output
      where o.kind = 'map' and o.due <> 'cascade' offset 0
    ) source on true
    left join lateral (
      select pgflow.is_unmet(o.if_pattern, o.if_not_pattern,
        case when o.dep_count = 0 then o.input else coalesce(d.outputs, '{}') end) as unmet
      from (
        select pg_catalog.jsonb_object_agg(t.step_slug, t.output) as outputs
        from unnest(o.depends_on || o.over) p(step_index)
        cross join lateral (
          select t.step_slug, t.output from pgflow.run_steps t
          where t.run_id = o.run_id and t.task_index in (-1, 0) and t.step_index = p.step_index and t.status = 'completed' offset 0
        ) t
      ) d
      where o.due = 'condition'
    ) unmet on true
  ), updated as (
    update pgflow.run_steps t set
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
    coalesce(array_agg(row(j.run_id, j.step_index, j.verdict in ('cascade', 'skip-cascade'))::pgflow.done_step)
      filter (where j.verdict not in ('tasks', 'fail')), '{}'),
    coalesce(array_agg(j.run_id order by j.step_index) filter (where j.verdict = 'fail'), '{}'),
    coalesce(array_agg(pg_catalog.jsonb_build_object('stepSlug', j.step_slug, 'taskIndex', null,
      'message', 'The condition of the step was not met.') order by j.step_index) filter (where j.verdict = 'fail'), '{}'),
    array_agg(row(j.run_id, j.step_index, j.step_slug, j.kind = 'map', j.over, j.depends_on, j.tasks,
       j.handler_id, j.timeout, j.due_at)::pgflow.ready_step) filter (where j.verdict = 'tasks')
  into done, failed_runs, failed_errors, ready
  from judged j;
end $$;

-- Gives new runs their step states, and the root steps their tasks. The runs are inserted, not yet
-- visible to others. Returns what ended or failed at once (an empty map, a root whose condition is not met),
-- for end_changes to go on from, and when the first task is due.
create function pgflow.place_steps(
  run_ids uuid[], delays float8[], run_ats timestamptz[], moment timestamptz,
  out done_runs uuid[], out done_steps int[], out done_cascades boolean[],
  out failed_runs uuid[], out failed_errors jsonb[], out ready_at timestamptz
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  with placed as materialized (
    select b.run_id, s.step_index, s.step_slug, s.kind, s.dep_count, s.handler_id, r.input,
      greatest(b.run_at, moment + pg_catalog.make_interval(secs => coalesce(b.delay, 0)))
        + pg_catalog.make_interval(secs => h.start_delay) as available_at,
      case when s.dep_count > 0 then 'none'
        when (s.if_pattern is not null or s.if_not_pattern is not null)
          and pgflow.is_unmet(s.if_pattern, s.if_not_pattern, r.input) then s.when_unmet
        when s.kind = 'map' and r.input = '[]' then 'empty'
        else 'tasks' end as verdict
    from unnest(run_ids, delays, run_ats) b(run_id, delay, run_at)
    cross join lateral (
      select r.flow_slug, r.version, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.* from pgflow.steps s where s.flow_slug = r.flow_slug and s.version = r.version offset 0
    ) s
    cross join lateral (select h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0) h
    where b.run_id is not null   -- unnest fills up the shorter arrays, and longer ones this one
  ), states as (
    insert into pgflow.step_states (run_id, step_index, step_slug, status, remaining_deps, initial_tasks, remaining_tasks,
      output, error_message, skip_reason, seq, created_at, started_at, completed_at, failed_at, skipped_at)
    select p.run_id, p.step_index, p.step_slug,
      case p.verdict when 'empty' then 'completed' when 'fail' then 'failed' when 'skip' then 'skipped'
        when 'skip-cascade' then 'skipped' else 'created' end,
      p.dep_count, t.tasks, t.tasks, case when p.verdict = 'empty' then '[]'::jsonb end,
      case when p.verdict = 'fail' then 'The condition of the step was not met.' end,
      case when p.verdict in ('skip', 'skip-cascade') then 'condition_unmet' end,
      1, moment, case when p.verdict = 'empty' then moment end, case when p.verdict = 'empty' then moment end,
      case when p.verdict = 'fail' then moment end, case when p.verdict in ('skip', 'skip-cascade') then moment end
    from placed p
    cross join lateral (
      select case when p.verdict = 'empty' then 0 when p.verdict <> 'tasks' then null
        when p.kind = 'single' then 1 else pg_catalog.jsonb_array_length(p.input) end as tasks
    ) t
  ), queued as (
    insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, available_at, item)
    select p.run_id, p.step_index, i.task_index, p.step_slug, p.handler_id, p.available_at, i.item
    from placed p
    cross join lateral (
      select 0 as task_index, null::jsonb as item where p.kind = 'single'
      union all
      select (e.ordinality - 1)::int, e.value
      from pg_catalog.jsonb_array_elements(case when p.kind = 'map' then p.input end) with ordinality e
    ) i
    where p.verdict = 'tasks'
  )
  select min(p.available_at) filter (where p.verdict = 'tasks'),
    coalesce(array_agg(p.run_id) filter (where p.verdict in ('empty', 'skip', 'skip-cascade')), '{}'),
    coalesce(array_agg(p.step_index) filter (where p.verdict in ('empty', 'skip', 'skip-cascade')), '{}'),
    coalesce(array_agg(p.verdict = 'skip-cascade') filter (where p.verdict in ('empty', 'skip', 'skip-cascade')), '{}'),
    coalesce(array_agg(p.run_id order by p.step_index) filter (where p.verdict = 'fail'), '{}'),
    coalesce(array_agg(pg_catalog.jsonb_build_object('stepSlug', p.step_slug, 'taskIndex', null,
      'message', 'The condition of the step was not met.') order by p.step_index) filter (where p.verdict = 'fail'), '{}')
  into ready_at, done_runs, done_steps, done_cascades, failed_runs, failed_errors
  from placed p;
end $$;

-- Gives new runs their step states. The runs are inserted, not yet visible to others. A run with seq 0 is one whose
-- first steps may end at once: they are left without tasks, to be judged. delays: seconds until the first steps may begin;
-- run_ats: the time, instead; known_versions: what the caller knows of.
-- Returns the first steps, those that are to get their tasks and those to be judged, and of which runs the caller has to read
-- what they are like.
create function pgflow.place_steps(
  run_ids uuid[], delays float8[], run_ats timestamptz[], known_versions int[], moment timestamptz,
  out ready pgflow.ready_step[], out opened pgflow.open_step[], out unknown_runs uuid[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  with placed as materialized (
    select r.run_id, r.seq, r.version is distinct from b.known as is_unknown, s.*,
      case when s.dep_count > 0 or r.seq = 0 then null when s.kind = 'single' then 1
        else pg_catalog.jsonb_array_length(r.input) end as tasks,
      greatest(b.run_at, moment + pg_catalog.make_interval(secs => coalesce(b.delay, 0))) as begin_at
    from unnest(run_ids, delays, run_ats, known_versions) b(run_id, delay, run_at, known)
    cross join lateral (
      select r.run_id, r.flow_slug, r.version, r.seq, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.step_index, s.step_slug, s.dep_count, s.kind, s.depends_on, s.fed_map, s.dependents, s.handler_id
      from pgflow.steps s where s.flow_slug = r.flow_slug and s.version = r.version offset 0
    ) s
  ), inserted as (
    insert into pgflow.step_states
      (run_id, step_index, step_slug, status, remaining_deps, initial_tasks, remaining_tasks, seq, created_at)
    select p.run_id, p.step_index, p.step_slug, 'created', p.dep_count, p.tasks, p.tasks, 1, moment from placed p
  )
  select
    array_agg(row(p.run_id, p.step_index, p.step_slug, p.kind = 'map', null, p.depends_on, p.fed_map, p.dependents = '{}',
      p.tasks, p.handler_id, h.timeout, p.begin_at + pg_catalog.make_interval(secs => h.start_delay))::pgflow.ready_step)
      filter (where p.seq = 1),
    array_agg(row(p.run_id, p.step_index, null, p.begin_at)::pgflow.open_step) filter (where p.seq = 0),
    array_agg(p.run_id) filter (where p.seq = 0 or p.is_unknown)
  into ready, opened, unknown_runs
  from placed p
  cross join lateral (
    select h.timeout, h.start_delay from pgflow.handlers h where h.handler_id = p.handler_id offset 0
  ) h
  where p.dep_count = 0;
end $$;

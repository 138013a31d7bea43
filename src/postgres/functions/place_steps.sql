-- Gives new runs their step states. The runs are inserted, not yet visible to others. A run with seq 0 is one whose
-- first steps may end at once: they are left without tasks, for advance_steps to judge.
create function pgflow.place_steps(run_ids uuid[], moment timestamptz) returns void
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  insert into pgflow.step_states
    (run_id, step_index, step_slug, status, remaining_deps, initial_tasks, remaining_tasks, seq, created_at)
  select r.run_id, s.step_index, s.step_slug, 'created', s.dep_count, t.tasks, t.tasks, 1, moment
  from unnest(run_ids) b(run_id)
  cross join lateral (
    select r.run_id, r.flow_slug, r.version, r.seq, r.input from pgflow.runs r where r.run_id = b.run_id offset 0
  ) r
  cross join lateral (
    select s.step_index, s.step_slug, s.dep_count, s.kind from pgflow.steps s
    where s.flow_slug = r.flow_slug and s.version = r.version offset 0
  ) s
  cross join lateral (
    select case when s.dep_count > 0 or r.seq = 0 then null when s.kind = 'single' then 1
      else pg_catalog.jsonb_array_length(r.input) end as tasks
  ) t;
end $$;

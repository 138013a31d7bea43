-- The output of a completed run: { leaf: output } of its completed leaf steps; of a job, its handler's.
create function pgflow.run_output(run_id uuid) returns jsonb
language sql volatile set search_path = '' set enable_seqscan = off set enable_hashjoin = off
set enable_mergejoin = off set enable_bitmapscan = off set jit = off
as $$
  select case when f.kind = 'job' then
    (select t.output from pgflow.step_states t where t.run_id = r.run_id and t.step_index = 0)
  else
    (select coalesce(pg_catalog.jsonb_object_agg(t.step_slug, t.output), '{}')
     from pgflow.step_states t
     cross join lateral (
       select from pgflow.steps s
       where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = t.step_index
         and s.dependents = '{}' offset 0
     ) leaf
     where t.run_id = r.run_id and t.status = 'completed')
  end
  from pgflow.runs r join pgflow.flows f on f.flow_slug = r.flow_slug
  where r.run_id = $1
$$;

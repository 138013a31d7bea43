-- Deletes runs with all that belongs to them; returns the ids. The caller holds their locks and tells the watchers.
create function pgflow.delete_runs(run_ids uuid[]) returns setof uuid
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off
as $$
begin
  delete from pgflow.step_logs t using unnest(run_ids) d(run_id) where t.run_id = d.run_id;
  delete from pgflow.run_steps t using unnest(run_ids) d(run_id) where t.run_id = d.run_id;
  delete from pgflow.run_tags t using unnest(run_ids) d(run_id) where t.run_id = d.run_id;
  return query delete from pgflow.runs t using unnest(run_ids) d(run_id) where t.run_id = d.run_id returning t.run_id;
end $$;

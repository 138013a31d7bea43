-- Ends what is under way in runs that fail or are cancelled: steps that have tasks and are not terminal
-- become cancelled with their tasks; steps without tasks stay as they are. The caller holds the runs' locks.
create function pgflow.cancel_steps(run_ids uuid[], moment timestamptz) returns void
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  update pgflow.step_states t set status = 'cancelled', cancelled_at = moment, seq = r.seq + 1
  from unnest(run_ids) b(run_id)
  cross join lateral (select r.seq from pgflow.runs r where r.run_id = b.run_id offset 0) r
  where t.run_id = b.run_id and t.status in ('created', 'started') and t.initial_tasks is not null;

  update pgflow.step_tasks t set status = 'cancelled', available_at = null, ended_at = moment
  from unnest(run_ids) b(run_id)
  where t.run_id = b.run_id and t.status in ('queued', 'started');
end $$;

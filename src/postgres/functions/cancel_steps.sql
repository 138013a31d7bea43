-- Ends what is under way in runs that fail or are cancelled: steps that have tasks and are not terminal
-- become cancelled with their tasks; steps without tasks stay as they are. The caller holds the runs' locks.
create function pgflow.cancel_steps(run_ids uuid[], moment timestamptz) returns void
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  -- In the order of the key, as give-backs lock them.
  update pgflow.run_steps t set
    status = case when t.status in ('created', 'started') then 'cancelled' else t.status end,
    cancelled_at = case when t.status in ('created', 'started') then moment else t.cancelled_at end,
    seq = case when t.status in ('created', 'started') then r.seq + 1 else t.seq end,
    task_status = case when t.task_status in ('queued', 'started') then 'cancelled' else t.task_status end,
    available_at = null,
    ended_at = case when t.task_status in ('queued', 'started') then moment else t.ended_at end
  from (select distinct b from unnest(run_ids) b order by b) b(run_id)
  cross join lateral (select r.seq from pgflow.runs r where r.run_id = b.run_id offset 0) r
  where t.run_id = b.run_id
    and (t.task_status in ('queued', 'started') or (t.status in ('created', 'started') and t.initial_tasks is not null));
end $$;

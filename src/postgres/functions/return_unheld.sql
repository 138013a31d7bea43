-- Gives back what a worker has claimed without knowing it, because the answer was lost: its tasks under way but for those
-- given, which it holds. For a worker that has no claim under way, within minutes of the loss. Returns how many.
create function pgflow.return_unheld(
  claimant int, run_ids uuid[], step_indexes int[], task_indexes int[], claims int[], notify boolean default true
) returns int
language plpgsql volatile
set search_path = '' set enable_seqscan = off set jit = off
as $$
declare
  _runs uuid[]; _steps int[]; _tasks int[]; _claims int[];
begin
  select array_agg(t.run_id), array_agg(t.step_index), array_agg(t.task_index), array_agg(t.claim)
  into _runs, _steps, _tasks, _claims
  from pgflow.run_steps t
  where t.task_started_at >= pgflow.now() - interval '10 minutes'   -- what is older goes with the worker
    and t.worker_id = claimant and t.task_status = 'started'
    and (t.run_id, t.step_index, t.task_index, t.claim) not in (
      select * from unnest(run_ids, step_indexes, task_indexes, claims)
    );
  if _runs is null then return 0; end if;
  return pgflow.return_tasks(_runs, _steps, _tasks, _claims, notify);
end $$;

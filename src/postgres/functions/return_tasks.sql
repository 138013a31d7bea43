-- Gives tasks back unexecuted: they are due at once and the attempt does not count. Touches tasks only.
create function pgflow.return_tasks(
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[], notify boolean default true
) returns int
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _count int;
begin
  update pgflow.run_steps t set task_status = 'queued', attempt = t.attempt - 1, available_at = pgflow.now(), worker_id = null,
    fraction = null
  from (select * from unnest(run_ids, step_indexes, task_indexes, claims) b(run_id, step_index, task_index, claim)
    order by 1, 3, 2) b
  where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
    and t.task_status = 'started' and t.claim = b.claim;
  get diagnostics _count = row_count;
  if notify and _count > 0 then
    perform pgflow.notify_changes('{}', '{}', true);
  end if;
  return _count;
end $$;

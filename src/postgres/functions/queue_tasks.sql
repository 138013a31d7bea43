-- Gives steps that are ready their tasks. If all of them fit into the free slots of the worker that asks, those it can execute
-- now are its own at once, as if it had claimed them. Returns when the first of those left in the queue is due, the slots
-- left, and the steps whose tasks were claimed.
create function pgflow.queue_tasks(
  ready pgflow.ready_step[], claimant int, claimant_handlers int[], moment timestamptz,
  inout slots int, out ready_at timestamptz, out claimed pgflow.ready_step[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _tasks int; _has_maps boolean;
  _step pgflow.ready_step; _is_mine boolean; _items jsonb;
begin
  if claimant is null then
    claimant_handlers := '{}';
  end if;
  select sum(r.tasks), bool_or(r.is_map), array_agg(r.step) filter (where r.is_mine), min(r.due_at) filter (where not r.is_mine)
  into _tasks, _has_maps, claimed, ready_at
  from (
    select r as step, r.tasks, r.is_map, r.due_at, r.due_at <= moment and r.handler_id = any (claimant_handlers) as is_mine
    from unnest(ready) r offset 0
  ) r;
  if claimed is not null and _tasks > slots then
    claimant_handlers := '{}';
    claimed := null;
    ready_at := (select min(r.due_at) from unnest(ready) r);
  elsif claimed is not null then
    slots := slots - _tasks;
  end if;

  insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, fed_map, is_leaf,
    status, attempt, claim, worker_id, started_at, available_at)
  select r.run_id, r.step_index, 0, r.step_slug, r.handler_id, r.fed_map, r.is_leaf,
    case when r.is_mine then 'started' else 'queued' end, r.is_mine::int, r.is_mine::int,
    case when r.is_mine then claimant end, case when r.is_mine then moment end, case when not r.is_mine then r.due_at end
  from (
    select r.*, r.due_at <= moment and r.handler_id = any (claimant_handlers) as is_mine
    from unnest(ready) r where not r.is_map offset 0
  ) r;
  if not _has_maps then return; end if;

  foreach _step in array ready loop
    continue when not _step.is_map;
    _is_mine := _step.due_at <= moment and _step.handler_id = any (claimant_handlers);
    select case when _step.over is null then r.input else t.output end into _items
    from pgflow.runs r left join pgflow.step_states t on t.run_id = r.run_id and t.step_index = _step.over
    where r.run_id = _step.run_id;
    insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, is_leaf, item,
      status, attempt, claim, worker_id, started_at, available_at)
    select _step.run_id, _step.step_index, (e.ordinality - 1)::int, _step.step_slug, _step.handler_id, _step.is_leaf, e.value,
      case when _is_mine then 'started' else 'queued' end, _is_mine::int, _is_mine::int,
      case when _is_mine then claimant end, case when _is_mine then moment end, case when not _is_mine then _step.due_at end
    from pg_catalog.jsonb_array_elements(_items) with ordinality e;
  end loop;
end $$;

-- Gives steps that are ready their tasks. Those that the worker that asks can execute now are its own at once, as if it had
-- claimed them, as far as its free slots go. Returns when the first of those left in the queue is due, the slots left,
-- and the steps whose tasks were claimed.
create function pgflow.queue_tasks(
  ready pgflow.ready_step[], claimant int, claimant_handlers int[], moment timestamptz,
  inout slots int, out ready_at timestamptz, out claimed pgflow.ready_step[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _wanted int; _has_maps boolean; _queued pgflow.ready_step[]; _parted record;
  _map record; _items jsonb;
begin
  select bool_or(r.is_map), array_agg(r.step) filter (where r.is_mine), array_agg(r.step) filter (where r.is_mine is not true),
    sum(r.tasks) filter (where r.is_mine), min(r.due_at) filter (where r.is_mine is not true)
  into _has_maps, claimed, _queued, _wanted, ready_at
  from (
    select r as step, r.tasks, r.is_map, r.due_at,
      claimant is not null and r.due_at <= moment and r.handler_id = any (claimant_handlers) as is_mine
    from unnest(ready) r offset 0
  ) r;
  if _wanted > slots then
    select array_agg(r.step) filter (where r.up_to_it <= slots) as claimed,
      array_agg(r.step) filter (where r.up_to_it > slots) as queued,
      max(r.up_to_it) filter (where r.up_to_it <= slots) as taken, min(r.due_at) filter (where r.up_to_it > slots) as due_at
    into _parted
    from (
      select r as step, r.due_at, sum(r.tasks) over (rows unbounded preceding)::int as up_to_it from unnest(claimed) r
    ) r;
    claimed := _parted.claimed;
    _queued := _queued || _parted.queued;
    _wanted := _parted.taken;
    ready_at := least(ready_at, _parted.due_at);
  end if;
  slots := slots - coalesce(_wanted, 0);

  update pgflow.run_steps t set
    task_status = case when r.is_mine then 'started' else 'queued' end,
    attempt = t.attempt + r.is_mine::int,
    claim = t.claim + r.is_mine::int,
    worker_id = case when r.is_mine then claimant end,
    task_started_at = case when r.is_mine then moment end,
    available_at = case when not r.is_mine then r.due_at end
  from (
    select r.*, true as is_mine from unnest(claimed) r where not r.is_map
    union all select r.*, false from unnest(_queued) r where not r.is_map
  ) r
  where t.run_id = r.run_id and t.task_index = 0 and t.step_index = r.step_index;
  if not _has_maps then return; end if;

  for _map in
    select r.*, true as is_mine from unnest(claimed) r where r.is_map
    union all select r.*, false from unnest(_queued) r where r.is_map
  loop
    select case when _map.over is null then r.input else t.output end into _items
    from pgflow.runs r
    left join pgflow.run_steps t
      on t.run_id = r.run_id and t.task_index <= 0 and t.step_index = _map.over and t.status is not null
    where r.run_id = _map.run_id;
    insert into pgflow.run_steps (run_id, task_index, step_index, step_slug, handler_id, is_leaf, item,
      task_status, attempt, claim, worker_id, task_started_at, available_at)
    select _map.run_id, (e.ordinality - 1)::int, _map.step_index, _map.step_slug, _map.handler_id, m.is_leaf, e.value,
      case when _map.is_mine then 'started' else 'queued' end, _map.is_mine::int, _map.is_mine::int,
      case when _map.is_mine then claimant end, case when _map.is_mine then moment end, case when not _map.is_mine then _map.due_at end
    from pgflow.run_steps m cross join lateral pg_catalog.jsonb_array_elements(_items) with ordinality e
    where m.run_id = _map.run_id and m.task_index = -1 and m.step_index = _map.step_index;
  end loop;
end $$;

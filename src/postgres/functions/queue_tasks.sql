-- Gives steps that are ready their tasks, due at the times given (none: now) plus the start delays of the steps. If all of
-- them fit into the free slots of the worker that asks, those it can execute now are its own at once, as if it had
-- claimed them. Returns when the first of those left in the queue is due, the slots left, and the steps claimed.
create function pgflow.queue_tasks(
  run_ids uuid[], step_indexes int[], begin_ats timestamptz[], claimant int, claimant_handlers int[], moment timestamptz,
  inout slots int, out ready_at timestamptz, out claimed_runs uuid[], out claimed_steps int[]
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _slugs text[]; _handlers int[]; _fed_maps text[]; _dues timestamptz[]; _mine boolean[]; _maps boolean[];
  _tasks int; _items jsonb;
begin
  select array_agg(x.run_id), array_agg(x.step_index), array_agg(x.step_slug), array_agg(x.handler_id),
    array_agg(x.fed_map), array_agg(x.kind = 'map'), array_agg(x.due_at),
    array_agg(x.due_at <= moment and x.handler_id = any (claimant_handlers)), sum(x.initial_tasks)
  into run_ids, step_indexes, _slugs, _handlers, _fed_maps, _maps, _dues, _mine, _tasks
  from (
    select b.run_id, s.step_index, s.step_slug, s.kind, s.fed_map, s.handler_id, t.initial_tasks,
      coalesce(b.begin_at, moment) + pg_catalog.make_interval(secs => h.start_delay) as due_at
    from unnest(run_ids, step_indexes, begin_ats) b(run_id, step_index, begin_at)
    cross join lateral (
      select r.flow_slug, r.version from pgflow.runs r where r.run_id = b.run_id offset 0
    ) r
    cross join lateral (
      select s.step_index, s.step_slug, s.kind, s.fed_map, s.handler_id from pgflow.steps s
      where s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = b.step_index offset 0
    ) s
    cross join lateral (select h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0) h
    cross join lateral (
      select t.initial_tasks from pgflow.step_states t where t.run_id = b.run_id and t.step_index = b.step_index offset 0
    ) t
  ) x;
  if claimant is null or _tasks > slots then
    _mine := pg_catalog.array_fill(false, array[pg_catalog.cardinality(run_ids)]);
  end if;

  insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, fed_map,
    status, attempt, claim, worker_id, started_at, available_at)
  select b.run_id, b.step_index, 0, b.step_slug, b.handler_id, b.fed_map,
    case when b.mine then 'started' else 'queued' end, case when b.mine then 1 else 0 end,
    case when b.mine then 1 else 0 end, case when b.mine then claimant end, case when b.mine then moment end,
    case when not b.mine then b.due_at end
  from unnest(run_ids, step_indexes, _slugs, _handlers, _fed_maps, _dues, _mine, _maps)
    b(run_id, step_index, step_slug, handler_id, fed_map, due_at, mine, is_map)
  where not b.is_map;

  if true = any (_maps) then
    for _i in 1 .. pg_catalog.cardinality(run_ids) loop
      continue when not _maps[_i];
      select case when s.over is null then r.input else t.output end into _items
      from pgflow.runs r
      join pgflow.steps s on s.flow_slug = r.flow_slug and s.version = r.version and s.step_index = step_indexes[_i]
      left join pgflow.step_states t on t.run_id = r.run_id and t.step_index = s.over
      where r.run_id = run_ids[_i];
      insert into pgflow.step_tasks (run_id, step_index, task_index, step_slug, handler_id, item,
        status, attempt, claim, worker_id, started_at, available_at)
      select run_ids[_i], step_indexes[_i], (e.ordinality - 1)::int, _slugs[_i], _handlers[_i], e.value,
        case when _mine[_i] then 'started' else 'queued' end, case when _mine[_i] then 1 else 0 end,
        case when _mine[_i] then 1 else 0 end, case when _mine[_i] then claimant end,
        case when _mine[_i] then moment end, case when not _mine[_i] then _dues[_i] end
      from pg_catalog.jsonb_array_elements(_items) with ordinality e;
    end loop;
  end if;

  if true = any (_mine) then
    slots := slots - _tasks;
    select array_agg(b.run_id), array_agg(b.step_index) into claimed_runs, claimed_steps
    from unnest(run_ids, step_indexes, _mine) b(run_id, step_index, mine) where b.mine;
  end if;
  if false = any (_mine) then
    ready_at := (select min(b.due_at) from unnest(_dues, _mine) b(due_at, mine) where not b.mine);
  end if;
end $$;

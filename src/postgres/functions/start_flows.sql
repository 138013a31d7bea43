-- Starts runs, many at once; the ids in a batch differ. A run id that exists already is left as it
-- is if flow and input (as given) are equal, else PF002. An unknown flow: PF001; a map over an input
-- that is no array: PF003. delays: seconds until the root steps may begin; run_ats: the time, instead.
-- tags: of each run, as the text of an array.
-- claimant: the worker that asks, with the handlers that it has and its free slots: root tasks may be its own at once.
--
-- Returns a row `started` with the time of the start; the whole run as a change since 0, unless it is of the version that
-- the caller knows and nothing of it has ended or failed; a row `existing` for each run that was there; a
-- row `claim` for each task claimed; a row `ready` when tasks are queued, with the time when the first is due.
create function pgflow.start_flows(
  run_ids uuid[], flow_slugs text[], inputs jsonb[], given_inputs jsonb[] default null,
  delays float8[] default null, run_ats timestamptz[] default null, notify boolean default true,
  known_versions int[] default null, claimant int default null, claimant_handlers int[] default null, slots int default 0,
  tags text[] default null
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _new_runs uuid[]; _existing uuid[]; _whole_runs uuid[];
  _placed record; _queued record; _changed record;
  _claimed pgflow.ready_step[]; _ready_at timestamptz; _row pgflow.change_row;
begin
  if slots > 0 then
    perform 1 from pgflow.workers w where w.worker_id = claimant for key share skip locked;
    if not found then claimant := null; end if;
  end if;

  -- A run whose first steps may end at once begins with seq 0: the end of its change makes it 1.
  with new as (
    insert into pgflow.runs
      (run_id, flow_slug, version, status, input, given_input, remaining_steps, seq, started_at, root_run_id)
    select b.run_id, b.flow_slug, f.current_version, 'started', b.input, b.given_input, v.step_count,
      case when v.conditional_root or (v.root_map is not null and b.input = '[]') then 0 else 1 end, _now, b.run_id
    from unnest(run_ids, flow_slugs, inputs, given_inputs) b(run_id, flow_slug, input, given_input)
    cross join lateral (
      select f.current_version from pgflow.flows f where f.flow_slug = b.flow_slug offset 0
    ) f
    cross join lateral (
      select v.step_count, v.root_map, v.conditional_root from pgflow.flow_versions v
      where v.flow_slug = b.flow_slug and v.version = f.current_version
        and (v.root_map is null or pg_catalog.jsonb_typeof(b.input) = 'array') offset 0
    ) v
    order by b.run_id   -- two that start the same runs wait for each other in one order
    on conflict (run_id) do nothing
    returning run_id
  )
  select coalesce(array_agg(n.run_id), '{}') into _new_runs from new n;
  if pg_catalog.cardinality(_new_runs) < pg_catalog.cardinality(run_ids) then
    _existing := pgflow.check_starts(run_ids, flow_slugs, inputs, given_inputs, _new_runs);
  end if;
  if tags is not null then
    insert into pgflow.run_tags (tag, started_at, run_id)
    select distinct t.tag, _now, b.run_id
    from unnest(run_ids, tags) b(run_id, tags) cross join lateral unnest(b.tags::text[]) t(tag)
    where b.run_id = any (_new_runs);
  end if;
  -- Of the new ones alone.
  if _existing is not null then
    select array_agg(b.run_id), array_agg(b.delay), array_agg(b.run_at), array_agg(b.known)
    into run_ids, delays, run_ats, known_versions
    from unnest(run_ids, delays, run_ats, known_versions) b(run_id, delay, run_at, known)
    where b.run_id = any (_new_runs);
  end if;
  _placed := pgflow.place_steps(run_ids, delays, run_ats, known_versions, _now);
  _whole_runs := _placed.unknown_runs;

  if _placed.ready is not null then
    _queued := pgflow.queue_tasks(_placed.ready, claimant, claimant_handlers, _now, slots);
    slots := _queued.slots;
    _ready_at := _queued.ready_at;
    _claimed := _queued.claimed;
  end if;
  if _placed.opened is not null then
    _changed := pgflow.end_changes(array(select o.run_id from unnest(_placed.opened) o),
      pg_catalog.array_fill(0, array[pg_catalog.cardinality(_placed.opened)]), null, _placed.opened, '{}', '{}',
      claimant, claimant_handlers, slots, _now, false);
    _ready_at := least(_ready_at, _changed.ready_at);
    _claimed := _claimed || _changed.claimed;
  end if;

  _row.kind := 'started';
  _row.started_at := _now;
  return next _row;
  _whole_runs := _whole_runs || _existing;
  if _whole_runs is not null then
    _whole_runs := array(select distinct w from unnest(_whole_runs) w);
    return query select c.* from pgflow.changed_rows(_whole_runs, pg_catalog.array_fill(0, array[pg_catalog.cardinality(_whole_runs)])) c;
    for _row.run_id in select unnest(_existing) loop
      _row.kind := 'existing';
      return next _row;
    end loop;
  end if;
  if _claimed is not null then
    return query select c.* from pgflow.read_claims(_claimed) c;
  end if;
  if _ready_at is not null then
    _row := null;
    _row.kind := 'ready';
    _row.available_at := _ready_at;
    return next _row;
  end if;
  if notify then
    perform pgflow.notify_changes(_new_runs, pg_catalog.array_fill(1, array[pg_catalog.cardinality(_new_runs)]), _ready_at is not null);
  end if;
end $$;

-- The part of a start that few need: of new runs with their steps, the first ones that are maps or to be judged. Takes what
-- start_flows does, of the new runs, and returns rows for it: `claim` and `ready`; and the whole run as a change since 0,
-- unless it is of the version that the caller knows and nothing of it has ended or failed.
create function pgflow.place_roots(
  run_ids uuid[], delays float8[], run_ats timestamptz[], known_versions int[],
  claimant int, claimant_handlers int[], slots int, moment timestamptz
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _ready pgflow.ready_step[]; _opened pgflow.open_step[]; _whole_runs uuid[];
  _queued record; _changed record; _claimed pgflow.ready_step[]; _ready_at timestamptz; _row pgflow.change_row;
begin
  select
    array_agg(row(r.run_id, s.step_index, s.step_slug, true, null, s.depends_on, pg_catalog.jsonb_array_length(r.input),
      s.handler_id, s.timeout, r.begin_at + s.start_delay)::pgflow.ready_step)
      filter (where r.seq = 1 and s.kind = 'map'),
    array_agg(row(r.run_id, s.step_index, null, r.begin_at)::pgflow.open_step) filter (where r.seq = 0),
    array_agg(r.run_id) filter (where r.seq = 0 or r.is_unknown)
  into _ready, _opened, _whole_runs
  from (
    select r.*, r.version is distinct from b.known as is_unknown,
      greatest(b.run_at, moment + pg_catalog.make_interval(secs => coalesce(b.delay, 0))) as begin_at
    from unnest(run_ids, delays, run_ats, known_versions) b(run_id, delay, run_at, known)
    cross join lateral (select * from pgflow.runs r where r.run_id = b.run_id offset 0) r
  ) r
  cross join lateral (
    select s.*, h.timeout, pg_catalog.make_interval(secs => h.start_delay) as start_delay
    from pgflow.steps s cross join lateral (
      select h.timeout, h.start_delay from pgflow.handlers h where h.handler_id = s.handler_id offset 0
    ) h
    where s.flow_slug = r.flow_slug and s.version = r.version and s.dep_count = 0 offset 0
  ) s;
  if claimant is not null then
    slots := slots - (
      select count(*)::int from unnest(run_ids) b(run_id)
      cross join lateral (
        select 1 from pgflow.run_steps t where t.run_id = b.run_id and t.task_status = 'started' offset 0
      ) t
    );
  end if;
  if _ready is not null then
    _queued := pgflow.queue_tasks(_ready, claimant, claimant_handlers, moment, slots);
    slots := _queued.slots;
    _ready_at := _queued.ready_at;
    _claimed := _queued.claimed;
  end if;
  if _opened is not null then
    _changed := pgflow.end_changes(array(select o.run_id from unnest(_opened) o),
      pg_catalog.array_fill(0, array[pg_catalog.cardinality(_opened)]), null, _opened, '{}', '{}',
      claimant, claimant_handlers, slots, moment, false, null, null);
    _ready_at := least(_ready_at, _changed.ready_at);
    _claimed := _claimed || _changed.claimed;
  end if;
  if _claimed is not null then
    return query select c.* from pgflow.read_claims(_claimed, moment) c;
  end if;
  if _ready_at is not null then
    _row.kind := 'ready';
    _row.available_at := _ready_at;
    return next _row;
  end if;
  if _whole_runs is not null then
    _whole_runs := array(select distinct w from unnest(_whole_runs) w);
    return query select c.* from pgflow.changed_rows(_whole_runs, pg_catalog.array_fill(0, array[pg_catalog.cardinality(_whole_runs)])) c;
  end if;
end $$;

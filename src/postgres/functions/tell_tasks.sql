-- What tasks say of themselves while they work, for many at once: how far they are, and what they logged.
--
-- fractions, notes: the last progress of each, or null. log_tasks: which task of the batch an entry is of, counted from 1;
-- log_numbers: which of its execution's entries it is, so that one told twice is stored once; log_ages: milliseconds
-- since it was logged. The fence: progress counts while the claim given holds the task; an entry also when that claim
-- has completed it. A begin that was not told yet is told.
-- untracked, tracker, watched: as for settle_tasks.
-- Returns the changes of the runs (rows `run` and `step`), and a row `settled` that says which tasks were heard.
create function pgflow.tell_tasks(
  run_ids uuid[], step_indexes int[], task_indexes int[], claims int[], fractions float8[], notes text[],
  log_tasks int[], log_numbers int[], log_ages int[], log_messages text[], log_fields jsonb[], notify boolean default true,
  untracked boolean default true, tracker int default null, watched uuid[] default null
) returns setof pgflow.change_row
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
declare
  _now timestamptz := pgflow.now();
  _heard int[]; _moved_runs uuid[]; _seqs int[]; _sinces int[];
  _row pgflow.change_row;
begin
  -- Runs first, by id, as in settle_tasks.
  perform 1 from (select distinct b from unnest(run_ids) b order by b) b(run_id)
  cross join lateral (select 1 from pgflow.runs r where r.run_id = b.run_id for no key update) r;

  select array_agg(b.ordinality) into _heard
  from unnest(run_ids, step_indexes, task_indexes, claims) with ordinality b(run_id, step_index, task_index, claim, ordinality)
  cross join lateral (
    select 1 from pgflow.run_steps t
    where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
      and t.claim = b.claim and t.task_status in ('started', 'completed') offset 0
  ) t;
  if _heard is null then return; end if;

  insert into pgflow.step_logs (run_id, step_index, task_index, claim, log_number, attempt, at, message, fields)
  select t.run_id, t.step_index, t.task_index, t.claim, l.number, t.attempt,
    _now - pg_catalog.make_interval(secs => l.age / 1000.0), l.message, l.fields
  from unnest(log_tasks, log_numbers, log_ages, log_messages, log_fields) with ordinality
    l(task, number, age, message, fields, ordinality)
  cross join lateral (
    select t.run_id, t.step_index, t.task_index, t.claim, t.attempt from pgflow.run_steps t
    where t.run_id = run_ids[l.task] and t.task_index = task_indexes[l.task] and t.step_index = step_indexes[l.task]
      and t.claim = claims[l.task] and t.task_status in ('started', 'completed') offset 0
  ) t
  order by l.ordinality
  on conflict do nothing;

  -- Of maps each task's is kept, for the mean.
  update pgflow.run_steps t set fraction = x.fraction
  from (
    select b.claim, b.fraction, k.tid
    from unnest(run_ids, step_indexes, task_indexes, claims, fractions) b(run_id, step_index, task_index, claim, fraction)
    cross join lateral (
      select t.ctid as tid from pgflow.run_steps t
      where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
        and t.task_status = 'started' and t.claim = b.claim and t.item is not null offset 0
    ) k
    where b.fraction is not null
  ) x
  where t.ctid = x.tid and t.task_status = 'started' and t.claim = x.claim;

  with moved as (
    update pgflow.run_steps t set
      status = 'started',
      told_attempt = greatest(t.told_attempt, j.attempt),
      started_at = coalesce(t.started_at, j.started_at),
      progress = case when j.fraction is null then t.progress
        else pg_catalog.jsonb_build_object('fraction', coalesce(j.mean, j.fraction), 'note', j.note) end,
      seq = j.seq + 1
    from (
      select h.*, r.seq, x.tid, case when h.is_map and h.fraction is not null then (
          select (x.completed + sum(k.fraction)) / x.initial_tasks from pgflow.run_steps k
          where k.run_id = h.run_id and k.task_index >= 0 and k.step_index = h.step_index and k.task_status = 'started'
        ) end as mean
      from (
        select b.run_id, b.step_index, bool_or(t.is_map) as is_map, max(t.attempt) as attempt, min(t.started_at) as started_at,
          (array_agg(b.fraction order by b.ordinality desc) filter (where t.holds and b.fraction is not null))[1] as fraction,
          (array_agg(b.note order by b.ordinality desc) filter (where t.holds and b.fraction is not null))[1] as note
        from unnest(run_ids, step_indexes, task_indexes, claims, fractions, notes) with ordinality
          b(run_id, step_index, task_index, claim, fraction, note, ordinality)
        cross join lateral (
          select t.attempt, t.task_started_at as started_at, t.task_status = 'started' as holds, t.item is not null as is_map
          from pgflow.run_steps t
          where t.run_id = b.run_id and t.task_index = b.task_index and t.step_index = b.step_index
            and t.claim = b.claim and t.task_status in ('started', 'completed') offset 0
        ) t
        group by b.run_id, b.step_index
      ) h
      cross join lateral (select r.seq from pgflow.runs r where r.run_id = h.run_id offset 0) r
      cross join lateral (
        select t.ctid as tid, t.initial_tasks, t.initial_tasks - t.remaining_tasks as completed from pgflow.run_steps t
        where t.run_id = h.run_id and t.task_index = case when h.is_map then -1 else 0 end and t.step_index = h.step_index
          and t.status in ('created', 'started') offset 0
      ) x
    ) j
    where t.ctid = j.tid
    returning t.run_id
  )
  select array_agg(distinct m.run_id) into _moved_runs from moved m;

  if _moved_runs is not null then
    with told as (
      update pgflow.runs t set seq = t.seq + 1,
        tracked_by = case when t.tracked_by = tracker and t.run_id <> all (watched) then null else t.tracked_by end
      from unnest(_moved_runs) m(run_id) where t.run_id = m.run_id
      returning t.run_id, t.seq, t.tracked_by
    )
    select array_agg(m.run_id), array_agg(m.seq), array_agg(m.seq - 1) into _moved_runs, _seqs, _sinces from told m
    where untracked or notify or m.tracked_by is not null or m.run_id = any (watched);
    return query select c.* from pgflow.changed_rows(_moved_runs, _sinces) c;
    if notify then
      perform pgflow.notify_changes(_moved_runs, _seqs, false);
    end if;
  end if;
  _row.kind := 'settled';
  _row.accepted := _heard;
  _row.completed_at := _now;
  return next _row;
end $$;

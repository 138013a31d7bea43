-- What the handlers of a run logged, the oldest first: at most `most` entries after that id; of one step and of one
-- attempt, if given.
create function pgflow.read_logs(target uuid, slug text, of_attempt int, after_id bigint, most int) returns table (
  log_id bigint, at timestamptz, step_slug text, task_index int, attempt int, message text, fields jsonb
)
language plpgsql volatile
set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
set enable_bitmapscan = off set jit = off set plan_cache_mode = force_generic_plan
as $$
begin
  return query
  select l.log_id, l.at, s.step_slug, l.task_index, l.attempt, l.message, l.fields
  from pgflow.step_logs l
  cross join lateral (
    select s.step_slug from pgflow.run_steps s
    where s.run_id = l.run_id and s.task_index = l.task_index and s.step_index = l.step_index offset 0
  ) s
  where l.run_id = target and l.log_id > after_id and (slug is null or s.step_slug = slug)
    and (of_attempt is null or l.attempt = of_attempt)
  order by l.log_id limit most;
end $$;

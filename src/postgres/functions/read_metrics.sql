-- Counts by flow, in one statement: for a page or a scrape every few seconds. Reads the queue and the runs
-- under way, and the runs that failed since `failed_since`.
create function pgflow.read_metrics(failed_since timestamptz)
returns table (
  flow_slug text, due int, delayed int, executing int, oldest_due_seconds float8, running_runs int, failed_runs int
)
language sql volatile set search_path = ''
as $$
  with tasks as (
    select h.flow_slug,
      count(*) filter (where t.available_at <= n.now)::int as due,
      count(*) filter (where t.available_at > n.now)::int as delayed,
      count(*) filter (where t.status = 'started')::int as executing,
      extract(epoch from n.now - min(t.available_at) filter (where t.available_at <= n.now))::float8 as oldest_due_seconds
    from (select pgflow.now() as now) n
    cross join (
      select t.handler_id, t.task_status as status, t.available_at from pgflow.run_steps t where t.available_at is not null
      union all
      select t.handler_id, t.task_status, t.available_at
      from pgflow.runs r join pgflow.run_steps t on t.run_id = r.run_id
      where r.status = 'started' and t.task_status = 'started'
    ) t
    join pgflow.handlers h on h.handler_id = t.handler_id
    group by h.flow_slug, n.now
  ), runs as (
    select r.flow_slug,
      count(*) filter (where r.status = 'started')::int as running_runs,
      count(*) filter (where r.status = 'failed' and r.failed_at >= failed_since)::int as failed_runs
    from pgflow.runs r where r.status = 'started' or r.failed_at >= failed_since
    group by r.flow_slug
  )
  select f.flow_slug, coalesce(t.due, 0), coalesce(t.delayed, 0), coalesce(t.executing, 0), t.oldest_due_seconds,
    coalesce(r.running_runs, 0), coalesce(r.failed_runs, 0)
  from pgflow.flows f left join tasks t on t.flow_slug = f.flow_slug left join runs r on r.flow_slug = f.flow_slug
  order by f.flow_slug
$$;

import { useEffect, useLayoutEffect, useMemo, useState } from 'preact/hooks';
import { ActorsPage } from './actors/actors-page.js';
import { CachePage } from './cache/cache-page.js';
import { ChatPage } from './chat/chat-page.js';
import { ExplainPage } from './explain/explain-page.js';
import { FeedConnection } from './feed/connection.js';
import { lostText, servingText } from './feed/feed-words.js';
import { useStore } from './feed/use-store.js';
import { MetricsPage } from './metrics/metrics-page.js';
import { addressOf } from './parts/address.js';
import { chooseTheme, THEME } from './parts/theme.js';
import { useAddress } from './parts/use-address.js';
import { RequestsPage } from './requests/requests-page.js';
import { RingPage } from './ring/ring-page.js';
import { RunningWork } from './running-work.js';
import { Api } from './session/api.js';
import { storedKey, storeKey } from './session/key-store.js';
import { Login } from './session/login.js';
import { loginProblem } from './session/login-words.js';
import { TabWork } from './tab-work.js';
import { TenantsPage } from './tenants/tenants-page.js';
import { WorkersPage } from './workers/workers-page.js';

/** The frame of the console: login, header and pages. */

const PAGES = {
  ring: 'Ring',
  requests: 'Requests',
  metrics: 'Metrics',
  chat: 'Chat',
  explain: 'Explain',
  workers: 'Workers',
  cache: 'Cache',
  actors: 'Actors',
  tenants: 'Tenants',
} as const;
type PageName = keyof typeof PAGES;

export function App() {
  // An object, so that entering the same key again tries it again: it may have become valid.
  const [login, setLogin] = useState(() => ({ key: storedKey() }));
  const { key } = login;
  const api = useMemo(() => new Api(login.key), [login]);
  const feed = useMemo(() => new FeedConnection(api), [api]);
  useEffect(() => {
    feed.open();
    return () => feed.close();
  }, [feed]);
  const work = useMemo(() => new TabWork(api, feed), [api, feed]);
  useEffect(() => () => work.end(), [work]);
  const status = useStore(feed.status);
  useEffect(() => {
    if (status.state === 'locked') work.stop();
  }, [status.state, work]);
  const address = useAddress();
  const page = pageOf(address.page);
  const locked = status.state === 'locked';
  useLayoutEffect(() => {
    document.title = `${locked ? 'Log in' : PAGES[page]} · shoal`;
  }, [locked, page]);
  const enter = (next: string | null) => {
    storeKey(next);
    setLogin({ key: next });
  };
  if (status.state === 'locked') return <Login why={loginProblem(key, status.status, status.why)} onKey={enter} />;
  return (
    <>
      <button type="button" class="skip" onClick={() => document.querySelector('main')?.focus()}>
        Skip to the page
      </button>
      <Header feed={feed} work={work} page={page} keyed={key !== null} onLogout={() => enter(null)} />
      {status.state === 'lost' && (
        <p class="banner" role="alert">
          {lostText(status)}
        </p>
      )}
      <main class={status.state === 'lost' ? 'stale' : ''} tabIndex={-1}>
        <Page {...{ page, api, feed, work }} params={address.params} />
      </main>
    </>
  );
}

interface PageProps {
  readonly page: PageName;
  readonly params: URLSearchParams;
  readonly api: Api;
  readonly feed: FeedConnection;
  readonly work: TabWork;
}

function Page({ page, params, api, feed, work }: PageProps) {
  const filter = params.get('filter') ?? '';
  switch (page) {
    case 'ring':
      return <RingPage api={api} feed={feed} asking={work.asking} />;
    case 'requests':
      return <RequestsPage api={api} feed={feed} worker={params.get('worker')} />;
    case 'metrics':
      return <MetricsPage api={api} />;
    case 'chat':
      return <ChatPage api={api} feed={feed} log={work.log} />;
    case 'explain':
      return <ExplainPage api={api} />;
    case 'workers':
      return <WorkersPage api={api} feed={feed} filter={filter} />;
    case 'cache':
      return <CachePage api={api} feed={feed} />;
    case 'actors':
      return <ActorsPage api={api} filter={filter} />;
    case 'tenants':
      return <TenantsPage api={api} />;
  }
}

interface HeaderProps {
  readonly feed: FeedConnection;
  readonly work: TabWork;
  readonly page: PageName;
  readonly keyed: boolean;
  readonly onLogout: () => void;
}

function Header({ feed, work, page, keyed, onLogout }: HeaderProps) {
  const model = useStore(feed.model, 500);
  const { hello } = model;
  const status = useStore(feed.status);
  const theme = useStore(THEME);
  const next = theme === 'dark' ? 'light' : 'dark';
  return (
    <header>
      <strong class="brand">shoal</strong>
      <nav aria-label="Pages">
        {Object.entries(PAGES).map(([name, title]) => (
          <a key={name} href={addressOf(name)} aria-current={page === name ? 'page' : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <p class="facts">
        {hello !== null && (
          <>
            <span title="The model that the fleet serves">{hello.model}</span>
            <span>{servingText(model, status)}</span>
            <span class={`status ${status.state}`}>{status.state}</span>
            {hello.role === 'user' && (
              <span title="You see the fleet and your own requests, and may chat, pin and purge. The rest needs the key of an operator.">
                key of a user
              </span>
            )}
          </>
        )}
      </p>
      <RunningWork work={work} page={page} />
      <button type="button" class="small" onClick={() => chooseTheme(next)}>
        {next === 'dark' ? 'Dark' : 'Light'}
      </button>
      {keyed && (
        <button type="button" class="small" onClick={onLogout}>
          Log out
        </button>
      )}
    </header>
  );
}

function pageOf(name: string): PageName {
  return Object.hasOwn(PAGES, name) ? (name as PageName) : 'ring';
}

import { useEffect, useMemo, useState } from 'preact/hooks';
import { ChatPage } from './chat/chat-page.js';
import { FeedConnection } from './feed/connection.js';
import { useStore } from './feed/store.js';
import { MetricsPage } from './metrics/metrics-page.js';
import { chooseTheme, currentTheme } from './parts/theme.js';
import { RequestsPage } from './requests/requests-page.js';
import { RingPage } from './ring/ring-page.js';
import { Api } from './session/api.js';
import { storedKey, storeKey } from './session/key-store.js';
import { Login } from './session/login.js';

/** The frame of the console: login, header and pages. */

const PAGES = { ring: 'Ring', requests: 'Requests', metrics: 'Metrics', chat: 'Chat' } as const;
type PageName = keyof typeof PAGES;

export function App() {
  const [key, setKey] = useState(storedKey);
  const api = useMemo(() => new Api(key), [key]);
  const feed = useMemo(() => new FeedConnection(api), [api]);
  useEffect(() => {
    feed.open();
    return () => feed.close();
  }, [feed]);
  const status = useStore(feed.status);
  const page = usePage();
  const enter = (next: string | null) => {
    storeKey(next);
    setKey(next);
  };
  if (status.state === 'locked') return <Login why={key === null ? null : status.why} onKey={enter} />;
  return (
    <>
      <Header feed={feed} page={page} keyed={key !== null} onLogout={() => enter(null)} />
      {status.state === 'lost' && (
        <p class="banner" role="alert">
          Not live: {status.why}. Trying again.
        </p>
      )}
      <main>
        {page === 'ring' && <RingPage api={api} feed={feed} />}
        {page === 'requests' && <RequestsPage feed={feed} />}
        {page === 'metrics' && <MetricsPage api={api} />}
        {page === 'chat' && <ChatPage api={api} feed={feed} />}
      </main>
    </>
  );
}

interface HeaderProps {
  readonly feed: FeedConnection;
  readonly page: PageName;
  readonly keyed: boolean;
  readonly onLogout: () => void;
}

function Header({ feed, page, keyed, onLogout }: HeaderProps) {
  const { hello, workers } = useStore(feed.model, 500);
  const status = useStore(feed.status);
  const [theme, setTheme] = useState(currentTheme);
  const serving = [...workers.values()].filter(({ state }) => state === 'serving').length;
  const next = theme === 'dark' ? 'light' : 'dark';
  return (
    <header>
      <strong class="brand">shoal</strong>
      <nav aria-label="Pages">
        {Object.entries(PAGES).map(([name, title]) => (
          <a key={name} href={`#${name}`} aria-current={page === name ? 'page' : undefined}>
            {title}
          </a>
        ))}
      </nav>
      <p class="facts">
        {hello !== null && (
          <>
            <span title="The model that the fleet serves">{hello.model}</span>
            <span>
              {serving}/{workers.size} serving
            </span>
            <span class={`status ${status.state}`}>{status.state}</span>
            {hello.role === 'user' && <span>read-only</span>}
          </>
        )}
      </p>
      <button
        type="button"
        class="small"
        onClick={() => {
          chooseTheme(next);
          setTheme(next);
        }}
      >
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

/** The page that the address names after `#`. */
function usePage(): PageName {
  const [page, setPage] = useState(pageInAddress);
  useEffect(() => {
    const follow = () => setPage(pageInAddress());
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return page;
}

function pageInAddress(): PageName {
  const name = location.hash.slice(1);
  return name in PAGES ? (name as PageName) : 'ring';
}

import { useEffect, useState } from 'preact/hooks';
import { type PageAddress, readAddress } from './address.js';

/** The address that the browser shows now. */
export function useAddress(): PageAddress {
  const [address, setAddress] = useState(() => readAddress(location.hash));
  useEffect(() => {
    const follow = () => setAddress(readAddress(location.hash));
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  return address;
}

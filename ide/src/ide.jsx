import { useGraphiQLActions } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { useCallback, useEffect, useRef, useState } from 'react';

import { FIRST_QUERY, FIRST_VARIABLES } from './examples.js';
import { bearerOf, storeToken, storedToken } from './session.js';

const ENDPOINT = new URL('../graphql', location.href).href;
const ACCEPT = 'application/graphql-response+json, application/json;q=0.9';

function send(token) {
  return async (operation, options) => {
    const headers = { Accept: ACCEPT, 'Content-Type': 'application/json' };
    if (token.current !== '') headers.Authorization = `Bearer ${token.current}`;
    // What is typed into the headers editor wins over the token field.
    Object.assign(headers, options?.headers);
    const body = JSON.stringify(withoutStaleName(operation));
    const answer = await fetch(ENDPOINT, { method: 'POST', headers, body });
    return answer.json();
  };
}

// GraphiQL learns an operation's name a moment after it was typed; run at once, the name is that of the text before.
function withoutStaleName({ operationName, ...operation }) {
  const named = operationName && new RegExp(`\\b${operationName}\\b`).test(operation.query);
  return named ? { ...operation, operationName } : operation;
}

function TokenField({ token, onChange }) {
  const { introspect } = useGraphiQLActions();
  const known = useRef(token);
  useEffect(() => {
    if (token === known.current) return undefined;
    known.current = token;
    // Another caller may see another schema, and without a token there was none at all.
    const timer = setTimeout(introspect, 300);
    return () => clearTimeout(timer);
  }, [token, introspect]);
  return (
    <label className="token">
      <span className="token-name">tradegraph</span>
      <input
        type="password"
        name="token"
        autoComplete="off"
        spellCheck="false"
        placeholder="Bearer token (./run token --role sales_rep)"
        aria-label="Bearer token"
        value={token}
        onChange={(event) => onChange(event.target.value)}
      />
      <span className="token-bearer">{bearerOf(token)}</span>
    </label>
  );
}

export function Ide() {
  const [token, setToken] = useState(storedToken);
  const current = useRef(token);
  const [fetcher] = useState(() => send(current));
  const change = useCallback((value) => {
    current.current = value.trim();
    storeToken(value);
    setToken(value.trim());
  }, []);
  return (
    <GraphiQL fetcher={fetcher} defaultQuery={FIRST_QUERY} initialVariables={FIRST_VARIABLES}>
      <GraphiQL.Logo>
        <TokenField token={token} onChange={change} />
      </GraphiQL.Logo>
    </GraphiQL>
  );
}

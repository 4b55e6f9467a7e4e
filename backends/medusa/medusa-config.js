// The server as it is demonstrated: no dashboard, one PostgreSQL, secrets for loopback only.
const { defineConfig } = require('@medusajs/framework/utils');

module.exports = defineConfig({
  admin: { disable: true },
  projectConfig: {
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { connection: { ssl: false } },
    http: { storeCors: '*', adminCors: '*', authCors: '*', jwtSecret: 'demo', cookieSecret: 'demo', host: '127.0.0.1' },
  },
  modules: [
    {
      resolve: '@medusajs/medusa/order',
      options: {
        // The order code that all systems share; orders without one are known by `display_id`.
        generateCustomDisplayId: async order => order.metadata?.order_code,
      },
    },
  ],
});

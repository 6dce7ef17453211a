// One script with a fixed name: the server gives it an address with a hash of its content.
export default {
  build: {
    outDir: "../src/itukg/_ui",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: { input: "src/editor.js", output: { entryFileNames: "editor.js", codeSplitting: false } },
  },
};

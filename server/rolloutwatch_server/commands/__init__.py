"""The commands of the server beside `serve`."""

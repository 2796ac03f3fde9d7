package fault

import (
	"encoding/json"
	"net/http"
)

// Handler serves the control socket: GET, PUT and DELETE of /faults, whose body
// is one JSON object of keys and values, all strings. Each answers with the
// faults that are set now; PUT replaces them.
func Handler(book *Book) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, book)
	})
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		params := Params{}
		if err := json.NewDecoder(r.Body).Decode(&params); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		replace(w, book, params)
	})
	mux.HandleFunc("DELETE /faults", func(w http.ResponseWriter, _ *http.Request) {
		replace(w, book, Params{})
	})
	return mux
}

func replace(w http.ResponseWriter, book *Book, params Params) {
	if err := params.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := book.Replace(params); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer(w, book)
}

func answer(w http.ResponseWriter, book *Book) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(book.Running()) // the client is gone, if this fails
}
